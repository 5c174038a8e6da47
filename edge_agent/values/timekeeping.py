"""
What time it is, and whether that can be believed. Pure.

A Pi has no clock that survives a power cut. What it has is a count of seconds since this boot,
which never jumps; and what trust has signed. So the time of day is believed once somebody has
synchronised it, from then on counted in seconds of this boot, and corrected as the machine's clock
is. Before that the agent knows only how early it may be.

Two instants only grow, and are kept across boots. The floor is what is past for sure: when a lease
was issued, and as much later as this gateway has run since. A clock below it is refused; no clock
raises it, so that one that was ahead once is not held against the right one. What a believed clock
has shown counts against the lease that is held, up to its end: a lease that was seen to end never
comes back, whoever sets the clock, and the next one begins anew.
"""

from typing import Final

import msgspec

from wire.lease import Lease

TOLERANCE_MS: Final = 60_000
"""How far trust's clock may be ahead of ours; ingest allows for as much."""
STEP_MS: Final = 1000
"""A correction by more than this is a step, and worth a word."""
BROKEN_MS: Final = 15 * 365 * 24 * 3_600_000
"""So far beyond what is past for sure a clock is broken. systemd draws the line there too."""


def may_measure(lease: Lease | None, *, now_ms: int, latest_ms: int | None = None) -> bool:
    """
    Tell whether *lease* is in force at *now_ms*, or was then, and was issued by then.

    Args:
        lease: If there is one.

        now_ms: The time asked for.

        latest_ms: The latest that it was ever believed to be, if that may be after *now_ms*.
    """
    return (
        lease is not None
        and lease.issued_at_ms - TOLERANCE_MS <= now_ms
        and lease.is_in_force(now_ms=now_ms if latest_ms is None else max(now_ms, latest_ms))
    )


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What is kept on disk of the time."""

    boot: str
    """The boot in which it was written."""
    offset_ms: int | None
    """In that boot: the time of day at its second 0, if that was known."""
    floor_ms: int
    """It was this late already: trust has signed as much. 0 if it has signed nothing yet."""
    second_ms: int
    """How old that boot was when it was written."""
    lease: int
    """Version of the lease that was held; 0 for none."""
    end_ms: int
    """Of that lease."""
    reached_ms: int
    """The latest that it was believed to be under that lease, at most its end."""


_NOTHING: Final = Known("", None, 0, 0, 0, 0, 0)


class Timekeeper:
    """
    The time of day in this boot.

    Args:
        boot: Which boot this is.

        known: What the process before knew.
    """

    def __init__(self, boot: str, known: Known | None) -> None:
        self._boot = boot
        known = known or _NOTHING
        is_same_boot = known.boot == boot
        # What an earlier boot knew is from before this one's first second.
        second_ms = known.second_ms if is_same_boot else 0
        self._offset_ms = known.offset_ms if is_same_boot else None
        self._lease = known.lease
        self._end_ms = known.end_ms
        self._floor_ms = known.floor_ms - second_ms if known.floor_ms else None
        self._reached_ms = known.reached_ms - second_ms
        self._earliest_ms = max(self._floor_ms or 0, self._reached_ms)
        self._is_wrong = False

    @property
    def is_dated(self) -> bool:
        """Whether the time of day is known."""
        return self._offset_ms is not None

    @property
    def is_wrong(self) -> bool:
        """Whether the machine's clock shows a time that cannot be."""
        return self._is_wrong

    def time_ms(self, *, now: float) -> int:
        """Return the time of day *now*; the earliest that it may be, while it is not dated."""
        offset_ms = self._earliest_ms if self._offset_ms is None else self._offset_ms
        return offset_ms + int(now * 1000)

    def latest_ms(self, *, now: float) -> int:
        """Return the latest that it was ever believed to be under the lease that is held."""
        return max(self.time_ms(now=now), self._under_lease(self._reached_ms, now=now))

    def sure_ms(self, *, now: float) -> int:
        """Return a time that is past for sure, though no lease may last so long; 0 for none."""
        return 0 if self._floor_ms is None else self._floor_ms + int(now * 1000)

    def _floor(self, *, now: float) -> int:
        """Return how late it is for sure, 0 when trust has signed nothing yet."""
        return 0 if self._floor_ms is None else self._under_lease(self._floor_ms, now=now)

    def _under_lease(self, offset_ms: int, *, now: float) -> int:
        """Return the time that began with *offset_ms*, at most the end of the lease."""
        return min(offset_ms + int(now * 1000), self._end_ms)

    def look(self, wall_ms: int, *, is_synchronised: bool, now: float) -> int | None:
        """
        Compare with the machine's clock, and follow it if it is to be believed.

        Returns:
            By how many ms our time of day changed, if that was a step; None if not.
        """
        floor_ms = self._floor(now=now)
        self._is_wrong = bool(floor_ms) and not (
            floor_ms - TOLERANCE_MS <= wall_ms <= floor_ms + BROKEN_MS
        )
        if self._is_wrong or not is_synchronised:
            return None
        before_ms = self.time_ms(now=now)
        self._offset_ms = wall_ms - int(now * 1000)
        self._reached_ms = max(self._reached_ms, self._offset_ms)
        step_ms = wall_ms - before_ms
        return step_ms if abs(step_ms) >= STEP_MS else None

    def adopt(self, lease: Lease, *, now: float) -> None:
        """Note that *lease* is held from now on: trust has signed when it was issued."""
        # Both: a gateway that moved on may hold the first lease of another trust.
        if (lease.version, lease.not_after_ms) == (self._lease, self._end_ms):
            return
        floor_ms, passed_ms = self._floor(now=now), int(now * 1000)
        # Ahead of a clock that is believed it proves nothing: trust's may be wrong as well.
        if not self.is_dated or lease.issued_at_ms - TOLERANCE_MS <= self.time_ms(now=now):
            floor_ms = max(floor_ms, lease.issued_at_ms)
        self._lease, self._end_ms = lease.version, lease.not_after_ms
        self._floor_ms = floor_ms - passed_ms if floor_ms else None
        self._reached_ms = (self._floor_ms or 0) if self._offset_ms is None else self._offset_ms

    def known(self, *, now: float) -> Known | None:
        """Return what is worth keeping on disk; None when nothing is known."""
        if self._offset_ms is None and not self._lease:
            return None
        return Known(
            boot=self._boot,
            offset_ms=self._offset_ms,
            floor_ms=self._floor(now=now),
            second_ms=int(now * 1000),
            lease=self._lease,
            end_ms=self._end_ms,
            reached_ms=self._under_lease(self._reached_ms, now=now),
        )
