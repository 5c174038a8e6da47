"""The memory of intervals that have their observation."""

import hypothesis.strategies as st
from hypothesis import given

from edge_agent.pipeline.spent import MAX_RUNS, SpentIntervals


@given(st.lists(st.integers(0, 60)), st.none() | st.integers(1, 30))
def test_a_number_is_spent_once_it_was_added(numbers: list[int], before: int | None) -> None:
    """In any order, exactly what was added is spent, and the one before the beginning."""
    spent = SpentIntervals(before=before)
    for number in numbers:
        spent.add(number)

    added = {*numbers} if before is None else {*numbers, before - 1}
    assert {number for number in range(-1, 62) if number in spent} == added
    assert [n for n in range(62) if not spent.is_known(n)] == list(range(before or 0))


def test_memory_is_bounded_from_the_earliest() -> None:
    """Of too many runs the earliest is forgotten, and what was before it is not known."""
    spent = SpentIntervals()
    for number in range(0, 2 * MAX_RUNS + 2, 2):
        spent.add(number)

    assert 0 not in spent
    assert not spent.is_known(0)
    assert spent.is_known(1)
    assert 2 in spent
    assert 2 * MAX_RUNS in spent
