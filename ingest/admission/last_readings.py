"""
What each series had last, and what a flush has reserved of it until its COMMIT. Pure.

A flush that is written and not committed yet holds its intervals: no other may store a reading
there. If it is not committed after all, or not wholly, what was not stored is released, and the
intervals are as they were before. A block that meets a reading of another gateway that is held is
not refused: it waits until that is settled.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.pair_index import Ints, Words

Bools = NDArray[np.bool_]
Table = NDArray[np.void]

READING: Final = np.dtype([("time", np.int64), ("interval", np.int64), ("owner", np.int64)])
"""When something was observed, in ms; the interval of its rule; the hash of its envelope."""

_LATE: Final = np.dtype([("slot", np.int64), ("time", np.int64), ("owner", np.int64)])
_LATE_PLACES: Final = 1 << 16
_LATE_SHIFT: Final = np.uint64(64 - 16)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: what is multiplied by it is spread over the high bits."""

_NOBODY: Final = -1


class LastReadings:
    """
    What each series had last, best effort: in memory, from this process's start.

    Of each series the newest observation that was admitted, and of all of them together those of
    the last few thousand that came later than newer ones: a new one of these takes the place of
    any that happens to stand where it belongs. Which envelope it came in is kept too, so that an
    envelope that is decided about again, or comes again, does not meet itself.
    """

    def __init__(self) -> None:
        self._newest = _no_readings(1024)
        self._late = np.zeros(_LATE_PLACES, dtype=_LATE)
        self._late["slot"] = _NOBODY
        self.reserved: list[Reservation] = []
        """Of the flushes that are not settled yet."""

    def reserve(self) -> "Reservation":
        """Return what a flush is to note its readings in."""
        made = Reservation(self)
        self.reserved.append(made)
        return made

    def newest(self, slots: Ints) -> Table:
        """Return the newest reading of each of *slots*, as `READING`; at −1 ms for none."""
        self._grow(slots)
        return self._newest.take(slots)

    def note(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> Table:
        """
        Keep what is newer than what is known; return what was known.

        Args:
            slots: In which series, each once.

            times_ms: Of an observation in it.

            intervals_ms: Of the rule that it was admitted by.

            owners: The hash of the envelope that it came in.
        """
        before = self.newest(slots)
        is_newer = times_ms > before["time"]
        if not is_newer.all():
            slots, times_ms = slots[is_newer], times_ms[is_newer]
            intervals_ms, owners = intervals_ms[is_newer], owners[is_newer]
        self._newest["time"][slots] = times_ms
        self._newest["interval"][slots] = intervals_ms
        self._newest["owner"][slots] = owners
        return before

    def restore(self, slots: Ints, times_ms: Ints, owners: Ints, before: Table) -> Ints:
        """
        Put back what was known *before* these readings were noted.

        Returns:
            Which of them, by place, were noted and are not the newest any more.
        """
        known = self._newest.take(slots)
        is_newest = (known["time"] == times_ms) & (known["owner"] == owners)
        self._newest[slots[is_newest]] = before[is_newest]
        return np.flatnonzero(~is_newest & (times_ms > before["time"]))

    def note_late(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> None:
        """Keep observations that are older than others of their series; as `note`."""
        places = _late_places(slots, times_ms // intervals_ms)
        self._late["slot"][places] = slots
        self._late["time"][places] = times_ms
        self._late["owner"][places] = owners

    def forget_late(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> None:
        """Forget what was kept by `note_late`."""
        places = _late_places(slots, times_ms // intervals_ms)
        known = self._late.take(places)
        is_there = (known["slot"] == slots) & (known["time"] == times_ms)
        is_there &= known["owner"] == owners
        self._late["slot"][places[is_there]] = _NOBODY

    def taken_by(
        self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints
    ) -> tuple[Bools, Ints]:
        """Tell of which observations the interval has one of `note_late`, and whose that is."""
        known = self._late.take(_late_places(slots, times_ms // intervals_ms))
        is_taken: Bools = known["slot"] == slots
        is_taken &= known["time"] // intervals_ms == times_ms // intervals_ms
        is_taken &= (known["time"] != times_ms) | (known["owner"] != owners)
        return is_taken, known["owner"]

    def _grow(self, slots: Ints) -> None:
        if len(slots) and (needed := int(slots.max()) + 1) > len(self._newest):
            more = _no_readings(max(needed, len(self._newest)))
            self._newest = np.concatenate([self._newest, more])


class Readings(msgspec.Struct, frozen=True, eq=False):
    """
    Readings to note, with the series, time, interval and envelope of each.

    Args:
        slots: In which series.

        times_ms: When.

        intervals_ms: Of the rule that it was admitted by.

        owners: The hash of the envelope that it came in.
    """

    slots: Ints
    times_ms: Ints
    intervals_ms: Ints
    owners: Ints

    def of(self, wanted: Bools | Ints) -> "Readings":
        """Return those that *wanted* names."""
        return Readings(
            self.slots[wanted],
            self.times_ms[wanted],
            self.intervals_ms[wanted],
            self.owners[wanted],
        )

    def newest(self) -> "Readings":
        """Return of each series the newest; they are in the order of series and, mostly, time."""
        found, slots = self, self.slots
        if np.any((slots[1:] == slots[:-1]) & (self.times_ms[1:] < self.times_ms[:-1])):
            found = self.of(np.lexsort((self.times_ms, slots)))
            slots = found.slots
        is_last = np.ones(len(slots), dtype=np.bool_)
        is_last[:-1] = slots[1:] != slots[:-1]
        return found if is_last.all() else found.of(is_last)


class Claim(msgspec.Struct, frozen=True, eq=False):
    """
    What the kept blocks of one decision take.

    Args:
        newest: The newest reading of each block.

        late: Each reading of those that are remembered one by one; None for none.

        agents: Whose each block is.
    """

    newest: Readings
    late: Readings | None
    agents: Words

    def without(self, owners: Ints) -> "Claim":
        """Return what is left without the blocks of *owners*."""
        keep = ~np.isin(self.newest.owners, owners)
        late = self.late
        if late is not None:
            late = late.of(~np.isin(late.owners, owners))
        return Claim(self.newest.of(keep), late, self.agents[keep])


class _Undo(msgspec.Struct, frozen=True, eq=False):
    """What was noted of each series, and what was known before."""

    noted: Readings
    before: Table


class Reservation:
    """
    What one flush has taken of the intervals, until it is settled.

    Args:
        readings: What it is taken of.
    """

    def __init__(self, readings: LastReadings) -> None:
        self._readings = readings
        self._claims: list[tuple[Claim, _Undo]] = []

    def newest(self, slots: Ints) -> Table:
        """Return as `LastReadings.newest`, with what is reserved."""
        return self._readings.newest(slots)

    def taken_by(self, readings: Readings) -> tuple[Bools, Ints]:
        """Return as `LastReadings.taken_by`, with what is reserved."""
        return self._readings.taken_by(
            readings.slots, readings.times_ms, readings.intervals_ms, readings.owners
        )

    def are_held(self, owners: Ints, agents: Words) -> Bools:
        """
        Tell which of *owners* are of another flush that is not settled, and of another gateway.

        Args:
            owners: Whose readings are met.

            agents: Who met each.
        """
        wanted, place = np.unique(owners, return_inverse=True)
        is_held = np.zeros(len(wanted), dtype=np.bool_)
        holders = np.zeros(len(wanted), dtype=np.uint64)
        for other in self._readings.reserved:
            for claim, _ in other._claims if other is not self else ():
                theirs = claim.newest.owners
                met = np.flatnonzero(np.isin(theirs, wanted))
                where = np.searchsorted(wanted, theirs[met])
                is_held[where] = True
                holders[where] = claim.agents[met]
        found: Bools = is_held[place] & (holders[place] != agents)
        return found

    def claim(self, claim: Claim) -> None:
        """Take what *claim* says."""
        if (late := claim.late) is not None:
            self._readings.note_late(late.slots, late.times_ms, late.intervals_ms, late.owners)
        new = claim.newest.newest()
        before = self._readings.note(new.slots, new.times_ms, new.intervals_ms, new.owners)
        self._claims.append((claim, _Undo(new, before)))

    def release(self, owners: Ints | None = None) -> None:
        """Give back what was taken for the envelopes *owners*; all of it for None."""
        if not self._claims:
            return
        claims, self._claims = self._claims, []
        for claim, undo in reversed(claims):
            self._take_back(claim, undo)
        if owners is None:
            return
        for claim, _ in claims:
            left = claim.without(owners)
            if len(left.agents):
                self.claim(left)

    def settle(self, unstored: Ints | None = None) -> None:
        """End the reservation: of all but the envelopes *unstored* the readings are stored."""
        if unstored is not None and len(unstored):
            self.release(unstored)
        self._readings.reserved.remove(self)

    def _take_back(self, claim: Claim, undo: _Undo) -> None:
        if (late := claim.late) is not None:
            self._readings.forget_late(late.slots, late.times_ms, late.intervals_ms, late.owners)
        noted = undo.noted
        covered = self._readings.restore(noted.slots, noted.times_ms, noted.owners, undo.before)
        for place in covered.tolist():
            # Something newer came: whoever gives that back must not bring this back.
            reading = noted.slots[place], noted.times_ms[place], noted.owners[place]
            for other in self._readings.reserved:
                other._replace(*reading, undo.before[place])

    def _replace(self, slot: int, time_ms: int, owner: int, before: np.void) -> None:
        for _, undo in self._claims:
            places = np.flatnonzero(undo.noted.slots == slot)
            for place in places.tolist():
                if undo.before["time"][place] == time_ms and undo.before["owner"][place] == owner:
                    undo.before[place] = before


def _no_readings(size: int) -> Table:
    readings = np.zeros(size, dtype=READING)
    readings["time"], readings["interval"] = -1, 1
    return readings


def _late_places(slots: Ints, buckets: Ints) -> Words:
    """Return where the memory of late readings has room for each interval of a series."""
    mixed = slots.astype(np.uint64) * _SPREAD + buckets.astype(np.uint64)
    return (mixed * _SPREAD) >> _LATE_SHIFT
