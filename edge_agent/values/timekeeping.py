"""
The time of day, and whether it is known. Pure.

A Raspberry Pi has no clock that survives a power cut. It has a monotonic count of seconds since
this boot, and the times that trust has signed. The time of day is known once the machine's clock
was synchronised. From then on it is counted in seconds of this boot, and corrected with the
machine's clock. Before that the agent knows only the earliest possible time.

Two times only grow, and are kept across boots. The floor is certainly past: the time of issue of a
lease, plus the time that this gateway has run since. A clock below the floor is refused. No clock
raises the floor, so that a clock that was once ahead does not block the right one. The latest time
that a trusted clock has shown counts against the lease in force, up to its end: a lease that has
once expired never comes back, even if the clock is set back. A new lease starts from its own time.
"""

from typing import Final

import msgspec

from wire.lease import Lease

TOLERANCE_MS: Final = 60_000
"""How far the clock of trust may be ahead of the agent's, in ms. Ingest allows the same."""
STEP_MS: Final = 1000
"""A correction by more than this, in ms, is a step and is logged."""
BROKEN_MS: Final = 15 * 365 * 24 * 3_600_000
"""A clock further than this beyond the floor is broken. systemd uses the same limit."""


def may_measure(lease: Lease | None, *, now_ms: int, latest_ms: int | None = None) -> bool:
    """
    Tell whether *lease* was issued by *now_ms* and is in force at that time.

    Args:
        lease: A lease, or None.

        now_ms: A time, ms since 1970.

        latest_ms: The latest time that was ever believed, if that may be after *now_ms*.
    """
    return (
        lease is not None
        and lease.issued_at_ms - TOLERANCE_MS <= now_ms
        and lease.is_in_force(now_ms=now_ms if latest_ms is None else max(now_ms, latest_ms))
    )


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What is saved on disk about the time."""

    boot: str
    """The id of the boot in which it was written."""
    offset_ms: int | None
    """The time of day at second 0 of that boot, ms since 1970; None if unknown."""
    floor_ms: int
    """A time that is certainly past, signed by trust, ms since 1970; 0 if there is none."""
    second_ms: int
    """The age of that boot at the time of writing, in ms."""
    lease: int
    """The version of the lease in force; 0 for none."""
    end_ms: int
    """When that lease ends, ms since 1970."""
    reached_ms: int
    """The latest time that was believed under that lease, at most its end."""


_NOTHING: Final = Known("", None, 0, 0, 0, 0, 0)


class Timekeeper:
    """
    The time of day in this boot.

    Args:
        boot: The id of this boot.

        known: What an earlier process has saved.
    """

    def __init__(self, boot: str, known: Known | None) -> None:
        self._boot = boot
        known = known or _NOTHING
        is_same_boot = known.boot == boot
        # Times of an earlier boot are before second 0 of this one.
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
        """Whether the machine's clock shows an impossible time."""
        return self._is_wrong

    def time_ms(self, *, now: float) -> int:
        """Return the time of day at *now*, ms since 1970; while unknown, the earliest possible."""
        offset_ms = self._earliest_ms if self._offset_ms is None else self._offset_ms
        return offset_ms + int(now * 1000)

    def latest_ms(self, *, now: float) -> int:
        """Return the latest time ever believed under the lease in force, ms since 1970."""
        return max(self.time_ms(now=now), self._under_lease(self._reached_ms, now=now))

    def sure_ms(self, *, now: float) -> int:
        """Return a time that is certainly past, also beyond the end of the lease; 0 for none."""
        return 0 if self._floor_ms is None else self._floor_ms + int(now * 1000)

    def _floor(self, *, now: float) -> int:
        """Return a time that is certainly past; 0 if trust has signed none yet."""
        return 0 if self._floor_ms is None else self._under_lease(self._floor_ms, now=now)

    def _under_lease(self, offset_ms: int, *, now: float) -> int:
        """Return *offset_ms* plus the age of this boot, at most the end of the lease."""
        return min(offset_ms + int(now * 1000), self._end_ms)

    def look(self, wall_ms: int, *, is_synchronised: bool, now: float) -> int | None:
        """
        Compare with the machine's clock, and follow it if it can be trusted.

        Returns:
            The change of the time of day in ms, if it was a step; None otherwise.
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
        """Note that *lease* is in force from now on. Its time of issue is signed by trust."""
        # Both: a gateway that was moved may hold version 1 of another installation.
        if (lease.version, lease.not_after_ms) == (self._lease, self._end_ms):
            return
        floor_ms, passed_ms = self._floor(now=now), int(now * 1000)
        # A time of issue ahead of a trusted clock proves nothing: trust's clock may be wrong.
        if not self.is_dated or lease.issued_at_ms - TOLERANCE_MS <= self.time_ms(now=now):
            floor_ms = max(floor_ms, lease.issued_at_ms)
        self._lease, self._end_ms = lease.version, lease.not_after_ms
        self._floor_ms = floor_ms - passed_ms if floor_ms else None
        self._reached_ms = (self._floor_ms or 0) if self._offset_ms is None else self._offset_ms

    def known(self, *, now: float) -> Known | None:
        """Return what to save on disk; None if nothing is known."""
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
