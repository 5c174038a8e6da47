"""
Columns: many blocks as a few long arrays, without a Python object for each observation.

The layout of a block is that of `wire.envelope.Block`; the index spaces are those of
`ingest.admission`.
"""

from collections.abc import Sequence
from typing import Any, Final, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from wire.envelope import Block
from wire.quantities import MISSING

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.integer[Any])

_NARROW_MISSING: Final = -128
"""Marks a missing value in a block with one byte for each value."""


class Aligned(msgspec.Struct, frozen=True, eq=False):
    """Base of structs whose fields are all arrays over the same index space."""

    def select(self, wanted: Bools | Ints) -> Self:
        """Return the elements that *wanted*, a mask or indexes, selects in each field."""
        fields = {name: getattr(self, name)[wanted] for name in self.__struct_fields__}
        return msgspec.structs.replace(self, **fields)

    def followed_by(self, other: Self) -> Self:
        """Return the elements of both structs, those of *other* last."""
        fields = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in self.__struct_fields__
        }
        return msgspec.structs.replace(self, **fields)


class Columns(msgspec.Struct, frozen=True, eq=False):
    """
    The observations of a sequence of blocks, one block after the other.

    Args:
        counts: (blocks,) Number of observations, at least 1.

        firsts: (blocks,) Observation index of the first observation.

        times_ms: (observations,) Time of measurement, ms since 1970.

        values: (observations,) Value in steps of the quantity's resolution; undefined if missing.

        present: (observations,) Whether there is a value.

        flags: (observations,) Flag bits; 0 if the block has no flags.

        is_whole: Whether no observation is missing.

        steps_ms: (blocks,) Time between two observations; 0 for a block with a time offset for
            each observation, which may go back in time.
    """

    counts: Ints
    firsts: Ints
    times_ms: Ints
    values: NDArray[np.int32]
    present: Bools
    flags: NDArray[np.uint8]
    is_whole: bool
    steps_ms: Ints

    @property
    def is_regular(self) -> bool:
        """Whether every block has a constant time step."""
        return bool((self.steps_ms > 0).all())

    def starts_ms(self) -> Ints:
        """Return (blocks,) the time of the first observation, ms since 1970."""
        return self.times_ms[self.firsts]

    def any_of(self, condition: Bools) -> Bools:
        """Return (blocks,) whether *condition* (observations,) holds at least once."""
        if not len(self.counts):
            return np.zeros(0, dtype=np.bool_)
        return np.logical_or.reduceat(condition, self.firsts)

    def total_of(self, condition: Bools) -> Ints:
        """Return (blocks,) how often *condition* (observations,) holds."""
        if not len(self.counts):
            return np.zeros(0, dtype=np.int64)
        return np.add.reduceat(condition.astype(np.int64), self.firsts)

    def least_of(self, numbers: NDArray[Number]) -> NDArray[Number]:
        """Return (blocks,) the least of *numbers* (observations,)."""
        return np.minimum.reduceat(numbers, self.firsts) if len(self.counts) else numbers

    def greatest_of(self, numbers: NDArray[Number]) -> NDArray[Number]:
        """Return (blocks,) the greatest of *numbers* (observations,)."""
        return np.maximum.reduceat(numbers, self.firsts) if len(self.counts) else numbers

    def inner_pairs(self) -> Bools:
        """Return (observations − 1,) whether an observation and the next are of the same block."""
        inner = np.ones(max(len(self.times_ms) - 1, 0), dtype=np.bool_)
        inner[self.firsts[1:] - 1] = False
        return inner


def starts_of(blocks: Sequence[Block]) -> Ints:
    """Return (blocks,) the time of the first observation, ms since 1970."""
    return np.fromiter([b.start_ms for b in blocks], np.int64, len(blocks))


def unpack(blocks: Sequence[Block], starts_ms: Ints | None = None) -> Columns:
    """
    Return the observations of *blocks* as columns, in the same order.

    Args:
        blocks: Blocks of bodies that have passed `wire.envelope.check_body`.

        starts_ms: The result of `starts_of` for *blocks*, if the caller has it already.
    """
    total_blocks = len(blocks)
    narrow = np.fromiter((b.base is not None for b in blocks), np.bool_, total_blocks)
    sizes = np.fromiter((len(b.values) for b in blocks), np.int64, total_blocks)
    counts = np.where(narrow, sizes, sizes // 2)
    firsts = np.cumsum(counts) - counts
    steps = np.fromiter(
        (b.step if isinstance(b.step, int) else 0 for b in blocks), np.int64, total_blocks
    )
    values, present = _values(blocks, narrow, counts)
    return Columns(
        counts=counts,
        firsts=firsts,
        times_ms=_times(
            blocks, starts_of(blocks) if starts_ms is None else starts_ms, steps, counts
        ),
        values=values,
        present=present,
        flags=_flags(blocks, counts),
        is_whole=bool(present.all()),
        steps_ms=steps,
    )


def _flags(blocks: Sequence[Block], counts: Ints) -> NDArray[np.uint8]:
    if all(b.flags is None for b in blocks):
        return np.zeros(int(counts.sum()), np.uint8)
    parts = [
        b.flags if b.flags is not None else bytes(n)
        for b, n in zip(blocks, counts.tolist(), strict=True)
    ]
    return np.frombuffer(b"".join(parts), np.uint8)


def _times(blocks: Sequence[Block], starts: Ints, steps: Ints, counts: Ints) -> Ints:
    firsts = np.cumsum(counts) - counts
    times = np.arange(int(counts.sum()), dtype=np.int64)
    times *= np.repeat(steps, counts)
    times += np.repeat(starts - firsts * steps, counts)
    offsets = b"".join(b.step for b in blocks if isinstance(b.step, bytes))
    if offsets:
        # A constant step is at least 1, so that 0 marks the blocks with explicit offsets.
        times[np.repeat(steps == 0, counts)] += np.frombuffer(offsets, "<u4")
    return times


def _values(
    blocks: Sequence[Block], narrow: Bools, counts: Ints
) -> tuple[NDArray[np.int32], Bools]:
    bases = np.fromiter((b.base for b in blocks if b.base is not None), np.int32)
    small = np.frombuffer(b"".join([b.values for b in blocks if b.base is not None]), np.int8)
    if len(bases) == len(blocks):
        return np.repeat(bases, counts) + small, small != _NARROW_MISSING
    values = np.empty(int(counts.sum()), np.int32)
    present = np.empty(len(values), np.bool_)
    is_narrow = np.repeat(narrow, counts)
    values[is_narrow] = np.repeat(bases, counts[narrow]) + small
    present[is_narrow] = small != _NARROW_MISSING
    wide = np.frombuffer(b"".join(b.values for b in blocks if b.base is None), "<i2")
    values[~is_narrow] = wide
    present[~is_narrow] = wide != MISSING
    return values, present
