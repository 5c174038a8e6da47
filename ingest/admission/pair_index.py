"""An index of pairs of 64-bit words: looks up thousands at once without a Python object each."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

NONE: Final = -1
"""The number of a pair that is not in the index."""

# Odd constants of splitmix64 (Steele, Lea, Flood 2014): neighbouring pairs get distant hashes.
_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_SECOND: Final = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT: Final = np.uint64(31)


class PairIndex:
    """
    Numbers pairs from 0 in the order in which they are added, and finds their numbers.

    A sorted array of hashes with binary search: 28 bytes a pair, and no object for the garbage
    collector to visit. Pairs with the same hash are neighbours, and are compared word by word.
    Both words of all pairs are passed as two arrays of shape (pairs,).
    """

    def __init__(self) -> None:
        self._hashes = np.zeros(0, dtype=np.uint64)
        self._numbers = np.zeros(0, dtype=np.int32)
        self._first = np.zeros(0, dtype=np.uint64)
        self._second = np.zeros(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._numbers)

    def find(self, first: Words, second: Words) -> Ints:
        """Return (pairs,) the number of each pair, `NONE` if it is not in the index."""
        found = np.full(len(first), NONE, dtype=np.int64)
        if not len(self) or not len(first):
            return found
        wanted = _hash(first, second)
        positions = np.searchsorted(self._hashes, wanted)
        pending = np.arange(len(first))
        while len(pending):
            # The search for a pair is over at the end, or at another hash.
            pending = pending[positions[pending] < len(self)]
            pending = pending[self._hashes[positions[pending]] == wanted[pending]]
            numbers = self._numbers[positions[pending]]
            same = (self._first[numbers] == first[pending]) & (
                self._second[numbers] == second[pending]
            )
            found[pending[same]] = numbers[same]
            pending = pending[~same]
            positions[pending] += 1
        return found

    def add(self, first: Words, second: Words) -> Ints:
        """Return (pairs,) the number of each pair; a new pair gets the next number."""
        found = self.find(first, second)
        missing = np.flatnonzero(found == NONE)
        if len(missing):
            # The same pair may be given twice: sorting puts equal pairs next to each other.
            order = missing[np.lexsort((second[missing], first[missing]))]
            is_first = np.ones(len(order), dtype=np.bool_)
            is_first[1:] = (first[order[1:]] != first[order[:-1]]) | (
                second[order[1:]] != second[order[:-1]]
            )
            new = order[is_first]
            found[order] = (len(self) + _ranks(new))[np.cumsum(is_first) - 1]
            new.sort()
            self._insert(first[new], second[new])
        return found

    def _insert(self, first: Words, second: Words) -> None:
        hashes = _hash(first, second)
        numbers = np.arange(len(self), len(self) + len(first), dtype=np.int32)
        order = np.argsort(hashes, kind="stable")
        positions = np.searchsorted(self._hashes, hashes[order])
        self._first = np.concatenate([self._first, first])
        self._second = np.concatenate([self._second, second])
        self._hashes = np.insert(self._hashes, positions, hashes[order])
        self._numbers = np.insert(self._numbers, positions, numbers[order])


def _ranks(positions: Ints) -> Ints:
    """Return the rank of each of *positions*, which are all different."""
    ranks = np.empty_like(positions)
    ranks[np.argsort(positions)] = np.arange(len(positions))
    return ranks


def _hash(first: Words, second: Words) -> Words:
    mixed = first * _FIRST + second * _SECOND
    mixed ^= mixed >> _SHIFT
    mixed *= _FIRST
    return mixed
