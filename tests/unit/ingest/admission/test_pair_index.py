"""An index that numbers pairs of words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission import pair_index
from ingest.admission.pair_index import NONE, PairIndex, Words

WORDS = st.integers(0, 3) | st.integers(0, (1 << 64) - 1)
BATCHES = st.lists(st.lists(st.tuples(WORDS, WORDS), max_size=12), max_size=5)


def columns(some: list[tuple[int, int]]) -> tuple[Words, Words]:
    """Return *some* as two arrays."""
    table = np.array(some, dtype=np.uint64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@given(BATCHES, st.lists(st.tuples(WORDS, WORDS)))
def test_pairs_are_numbered_as_they_come(
    batches: list[list[tuple[int, int]]], others: list[tuple[int, int]]
) -> None:
    """Each new pair gets the next number for ever, and an unknown pair is not found."""
    known = PairIndex()
    expected: dict[tuple[int, int], int] = {}
    for batch in batches:
        for one in batch:
            expected.setdefault(one, len(expected))
        assert known.add(*columns(batch)).tolist() == [expected[one] for one in batch]
    assert len(known) == len(expected)
    wanted = [*expected, *others]
    assert known.find(*columns(wanted)).tolist() == [expected.get(one, NONE) for one in wanted]


def test_pairs_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs with the same hash are distinguished."""
    monkeypatch.setattr(pair_index, "_hash", lambda first, second: first % np.uint64(2))
    known = PairIndex()
    known.add(*columns([(2, 1), (4, 1), (2, 2), (3, 9)]))
    assert known.find(*columns([(2, 2), (4, 1), (3, 9), (6, 1), (2, 1)])).tolist() == [
        2, 1, 3, NONE, 0
    ]  # fmt: skip
