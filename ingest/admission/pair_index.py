"""Finds pairs of 64-bit words, thousands at once, without an object for each. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

NONE: Final = -1
"""The number of a pair that is not there."""

# Odd, with bits everywhere (splitmix64): neighbouring pairs land far apart.
_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_SECOND: Final = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT: Final = np.uint64(31)


class PairIndex:
    """
    Numbers pairs from 0, in the order in which they come; finds their numbers again.

    A sorted array of hashes, searched by halving: 28 bytes a pair, and nothing for the garbage
    collector to walk over. Two pairs with one hash stand side by side and are told apart.
    """

    def __init__(self) -> None:
        self._hashes = np.zeros(0, dtype=np.uint64)
        self._numbers = np.zeros(0, dtype=np.int32)
        self._first = np.zeros(0, dtype=np.uint64)
        self._second = np.zeros(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._numbers)

    def find(self, first: Words, second: Words) -> Ints:
        """Return the number of each pair, `NONE` where there is none."""
        found = np.full(len(first), NONE, dtype=np.int64)
        if not len(self) or not len(first):
            return found
        wanted = _hash(first, second)
        places = np.searchsorted(self._hashes, wanted)
        open_ = np.arange(len(first))
        while len(open_):
            # Beyond the end, or at another hash, the search is over.
            open_ = open_[places[open_] < len(self)]
            open_ = open_[self._hashes[places[open_]] == wanted[open_]]
            numbers = self._numbers[places[open_]]
            same = (self._first[numbers] == first[open_]) & (
                self._second[numbers] == second[open_]
            )
            found[open_[same]] = numbers[same]
            open_ = open_[~same]
            places[open_] += 1
        return found

    def add(self, first: Words, second: Words) -> Ints:
        """Return the number of each pair; one that is not there yet is given the next."""
        found = self.find(first, second)
        missing = np.flatnonzero(found == NONE)
        if len(missing):
            # A pair may come twice: by sorting, each stands beside its like.
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
        places = np.searchsorted(self._hashes, hashes[order])
        self._first = np.concatenate([self._first, first])
        self._second = np.concatenate([self._second, second])
        self._hashes = np.insert(self._hashes, places, hashes[order])
        self._numbers = np.insert(self._numbers, places, numbers[order])


def _ranks(places: Ints) -> Ints:
    """Return how many of *places*, no two alike, come before each."""
    ranks = np.empty_like(places)
    ranks[np.argsort(places)] = np.arange(len(places))
    return ranks


def _hash(first: Words, second: Words) -> Words:
    mixed = first * _FIRST + second * _SECOND
    mixed ^= mixed >> _SHIFT
    mixed *= _FIRST
    return mixed
