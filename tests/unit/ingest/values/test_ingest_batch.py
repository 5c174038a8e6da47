"""When a flush is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.values.batch import Batch, FlushLimits
from tests.fakes.ingest import block, opened

LIMITS = FlushLimits(max_envelopes=3, max_observations=10, max_bytes=1000, max_age_s=1.0)


def test_empty_batch_is_never_due() -> None:
    """An empty batch is never due."""
    assert Batch(LIMITS).due_in_s(now=1e9) is None


def test_age_counts_from_the_first() -> None:
    """
    The age counts from the first envelope, so that a steady trickle does not delay the
    flush.
    """
    batch = Batch(LIMITS)
    batch.add(opened(block(70)), now=10.0)
    batch.add(opened(block(70)), now=10.9)
    assert batch.due_in_s(now=10.9) == pytest.approx(0.1)
    assert batch.due_in_s(now=11.5) == 0.0


@pytest.mark.parametrize(
    ("count", "observations", "payload_bytes"),
    [
        pytest.param(3, 1, 0, id="envelopes"),
        pytest.param(1, 10, 0, id="observations"),
        pytest.param(1, 1, 1000, id="bytes"),
    ],
)
def test_each_limit_makes_a_flush_due(count: int, observations: int, payload_bytes: int) -> None:
    """The first limit that is reached makes a flush due, and taking it starts all limits again."""
    batch = Batch(LIMITS)
    for _ in range(count):
        one = opened(block(*[70] * observations))
        one.delivery.payload = bytes(payload_bytes)
        assert batch.due_in_s(now=0.0) != 0.0
        batch.add(one, now=0.0)
    assert batch.due_in_s(now=0.0) == 0.0
    assert len(batch.take()) == count
    assert batch.due_in_s(now=0.0) is None
    batch.add(opened(block(70)), now=5.0)
    assert batch.due_in_s(now=5.0) == 1.0


def test_flush_takes_the_oldest_and_no_more_than_it_may() -> None:
    """
    Envelopes that came while the database was busy are divided into flushes, and the rest remains
    due.
    """
    batch = Batch(LIMITS)
    some = [opened(block(70), sequence=number) for number in range(1, 6)]
    for one in some:
        batch.add(one, now=1.0)
    assert batch.take() == some[:3]
    assert batch.due_in_s(now=1.0) == 1.0
    assert batch.take() == some[3:]
    assert batch.due_in_s(now=1.0) is None


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 400, 600, 1000]), st.sampled_from([1, 4, 6])),
        min_size=1,
        max_size=8,
    )
)
def test_flush_ends_with_what_reaches_a_limit(sizes: list[tuple[int, int]]) -> None:
    """A flush is the shortest prefix that reaches a limit, and the remaining counts are right."""
    batch = Batch(LIMITS)
    some = []
    for number, (payload_bytes, observations) in enumerate(sizes, start=1):
        one = opened(block(*[70] * observations), sequence=number)
        one.delivery.payload = bytes(payload_bytes)
        some.append(one)
        batch.add(one, now=0.0)
    while some:
        is_due = batch.due_in_s(now=0.0) == 0.0
        taken = batch.take()
        assert taken == some[: len(taken)]
        assert _reaches(sizes[: len(taken)]) is is_due
        assert not _reaches(sizes[: len(taken) - 1])
        del some[: len(taken)], sizes[: len(taken)]
    assert batch.due_in_s(now=0.0) is None


def _reaches(sizes: list[tuple[int, int]]) -> bool:
    """Tell whether envelopes of these sizes reach one of `LIMITS`."""
    return (
        len(sizes) >= LIMITS.max_envelopes
        or sum(size for size, _ in sizes) >= LIMITS.max_bytes
        or sum(count for _, count in sizes) >= LIMITS.max_observations
    )
