"""
What time it is, and whether that can be believed. Pure.

A Pi has no clock that survives a power cut. What it has is a count of seconds since this boot,
which never jumps; and what it last knew. So the time of day is believed once somebody has
synchronised it, from then on counted in seconds of this boot, and corrected as the machine's clock
is. Before that the agent knows only how early it may be: the time that it knew last, and as much
later as this boot is old.
"""

from typing import Final

import msgspec

from wire.lease import Lease

TOLERANCE_MS: Final = 60_000
"""How far trust's clock may be ahead of ours; ingest allows for as much."""
STEP_MS: Final = 1000
"""A correction by more than this is a step, and worth a word."""


def may_measure(lease: Lease | None, *, now_ms: int) -> bool:
    """Tell whether *lease* is in force at *now_ms*, or was then, and was issued by then."""
    return (
        lease is not None
        and lease.issued_at_ms - TOLERANCE_MS <= now_ms
        and lease.is_in_force(now_ms=now_ms)
    )


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What is kept on disk of the time."""

    boot: str
    """The boot in which it was written."""
    offset_ms: int
    """In that boot: the time of day at its second 0."""
    floor_ms: int
    """It was this late already."""


class Timekeeper:
    """
    The time of day in this boot.

    Args:
        boot: Which boot this is.

        known: What the process before knew.
    """

    def __init__(self, boot: str, known: Known | None) -> None:
        self._boot = boot
        self._floor_ms = 0 if known is None else known.floor_ms
        is_same_boot = known is not None and known.boot == boot
        self._offset_ms = known.offset_ms if known is not None and is_same_boot else None
        self._is_behind = False
        # What an earlier boot knew is from before this one's first second.
        self._earliest_ms = self._floor_ms

    @property
    def is_dated(self) -> bool:
        """Whether the time of day is known."""
        return self._offset_ms is not None

    @property
    def is_behind(self) -> bool:
        """Whether the machine's clock shows a time that is past for sure."""
        return self._is_behind

    def time_ms(self, *, now: float) -> int:
        """Return the time of day *now*; the earliest that it may be, while it is not dated."""
        offset_ms = self._earliest_ms if self._offset_ms is None else self._offset_ms
        return offset_ms + int(now * 1000)

    def look(self, wall_ms: int, *, is_synchronised: bool, now: float) -> int | None:
        """
        Compare with the machine's clock, and follow it if it is to be believed.

        Returns:
            By how many ms our time of day changed, if that was a step; None if not.
        """
        self._is_behind = wall_ms < self._floor_ms - TOLERANCE_MS
        if self._is_behind or not is_synchronised:
            return None
        before_ms = self.time_ms(now=now)
        self._offset_ms = wall_ms - int(now * 1000)
        self._floor_ms = max(self._floor_ms, wall_ms)
        step_ms = wall_ms - before_ms
        return step_ms if abs(step_ms) >= STEP_MS else None

    def is_past(self, at_ms: int) -> None:
        """Note that *at_ms* is past: somebody whom we believe has said so."""
        self._floor_ms = max(self._floor_ms, at_ms)

    def known(self) -> Known | None:
        """Return what is worth keeping on disk; None when nothing is known."""
        if self._offset_ms is None:
            return None
        return Known(self._boot, self._offset_ms, self._floor_ms)
