"""Columns: many blocks as a few long arrays, without a Python object per observation."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from wire.envelope import Block
from wire.quantities import MISSING

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.integer[Any])

_NARROW_MISSING: Final = -128


class Columns(msgspec.Struct, frozen=True, eq=False):
    """
    The observations of a sequence of blocks, one after the other.

    Args:
        counts: Observations of each block, at least 1.

        firsts: Where each block begins.

        times_ms: Of each observation.

        values: Of each observation, in steps of resolution; anything where it is missing.

        present: Whether there is a value.

        flags: Of each observation; 0 when the block has none.

        is_whole: Whether nothing is missing.

        steps_ms: Of each block; 0 for one with offsets of its own, which may go back in time.
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
        """Whether each block goes on by a step."""
        return bool((self.steps_ms > 0).all())

    def starts_ms(self) -> Ints:
        """Return the time of each block's first observation."""
        return self.times_ms[self.firsts]

    def any_of(self, per_row: Bools) -> Bools:
        """Tell for each block whether *per_row* holds for one of its observations."""
        if not len(self.counts):
            return np.zeros(0, dtype=np.bool_)
        return np.logical_or.reduceat(per_row, self.firsts)

    def total_of(self, per_row: Bools) -> Ints:
        """Return for each block of how many of its observations *per_row* holds."""
        if not len(self.counts):
            return np.zeros(0, dtype=np.int64)
        return np.add.reduceat(per_row.astype(np.int64), self.firsts)

    def least_of(self, per_row: NDArray[Number]) -> NDArray[Number]:
        """Return the least element of each block."""
        return np.minimum.reduceat(per_row, self.firsts) if len(self.counts) else per_row

    def greatest_of(self, per_row: NDArray[Number]) -> NDArray[Number]:
        """Return the greatest element of each block."""
        return np.maximum.reduceat(per_row, self.firsts) if len(self.counts) else per_row

    def inner_pairs(self) -> Bools:
        """Tell for each observation but the last whether the next is of the same block."""
        inner = np.ones(max(len(self.times_ms) - 1, 0), dtype=np.bool_)
        inner[self.firsts[1:] - 1] = False
        return inner


def starts_of(blocks: Sequence[Block]) -> Ints:
    """Return when each of *blocks* starts, in ms since 1970."""
    return np.fromiter([b.start_ms for b in blocks], np.int64, len(blocks))


def unpack(blocks: Sequence[Block], starts_ms: Ints | None = None) -> Columns:
    """
    Return the columns of *blocks*, each of which has passed `wire.envelope.check_body`.

    Args:
        blocks: In the order that the columns are to have.

        starts_ms: What `starts_of` tells of them, where that is known already.
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
        # A regular step is at least 1, so 0 marks the blocks with offsets of their own.
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
