"""
The last readings of each series, and what a flush has reserved of them until its COMMIT. Pure.

A flush that is not committed yet reserves its intervals: no other flush may store a reading in
them. If the flush is not committed, or only in part, the intervals of what was not stored are
released and are as they were before. A block that conflicts with a reserved reading of another
gateway is not refused: it waits until that reservation is settled.

Arrays have one element for each series (**slots**, as `Permissions.rules` numbers them), for each
reading, or for each block.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.pair_index import Ints, Words

Bools = NDArray[np.bool_]
Table = NDArray[np.void]

READING: Final = np.dtype([("time", np.int64), ("interval", np.int64), ("owner", np.int64)])
"""Time of measurement, ms since 1970; interval of the rule, ms; hash of the envelope."""

_LATE: Final = np.dtype([("slot", np.int64), ("time", np.int64), ("owner", np.int64)])
_LATE_BITS: Final = 16
_LATE_SHIFT: Final = np.uint64(64 - _LATE_BITS)
_GOLDEN_RATIO_64: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, for Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""

_EMPTY: Final = -1
"""Marks an unused entry of the table of late readings."""


class LastReadings:
    """
    The last readings of each series since this process started, best effort.

    Holds the newest admitted observation of each series, and a hash table of fixed size for late
    readings: observations that arrived after newer ones of their series. A late reading overwrites
    the entry that has the same hash. The hash of the envelope is kept as well, so that an envelope
    that is decided again, or delivered again, does not conflict with itself.
    """

    def __init__(self) -> None:
        self._newest = _no_readings(1024)
        self._late = np.zeros(1 << _LATE_BITS, dtype=_LATE)
        self._late["slot"] = _EMPTY
        self.reserved: list[Reservation] = []
        """The reservations of flushes that are not settled yet."""

    def reserve(self) -> "Reservation":
        """Return an empty reservation for a new flush."""
        made = Reservation(self)
        self.reserved.append(made)
        return made

    def newest(self, slots: Ints) -> Table:
        """Return (slots,) the newest readings, as `READING`; time −1 for a series without one."""
        self._grow(slots)
        return self._newest.take(slots)

    def note(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> Table:
        """
        Keep each reading that is newer than the known one; return the readings known before.

        Args:
            slots: (readings,) Slot of the series, each at most once.

            times_ms: (readings,) Time of measurement, ms since 1970.

            intervals_ms: (readings,) Interval of the rule that admitted the reading.

            owners: (readings,) Hash of the envelope.
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
        Undo `note`: put back the readings that were known *before*.

        Returns:
            Indexes of the readings that were noted and have been superseded by newer ones since.
        """
        known = self._newest.take(slots)
        is_newest = (known["time"] == times_ms) & (known["owner"] == owners)
        self._newest[slots[is_newest]] = before[is_newest]
        return np.flatnonzero(~is_newest & (times_ms > before["time"]))

    def note_late(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> None:
        """Keep readings that are older than others of their series. Arguments as for `note`."""
        entries = _late_entries(slots, times_ms // intervals_ms)
        self._late["slot"][entries] = slots
        self._late["time"][entries] = times_ms
        self._late["owner"][entries] = owners

    def has_late(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> Bools:
        """Return (readings,) whether it is kept as a late reading. Arguments as for `note`."""
        return self._is_kept(
            _late_entries(slots, times_ms // intervals_ms), slots, times_ms, owners
        )

    def _is_kept(self, entries: Words, slots: Ints, times_ms: Ints, owners: Ints) -> Bools:
        known = self._late.take(entries)
        is_there: Bools = known["slot"] == slots
        is_there &= known["time"] == times_ms
        is_there &= known["owner"] == owners
        return is_there

    def forget_late(self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints) -> None:
        """Undo `note_late` for readings that have not been overwritten. Arguments as for it."""
        entries = _late_entries(slots, times_ms // intervals_ms)
        self._late["slot"][entries[self._is_kept(entries, slots, times_ms, owners)]] = _EMPTY

    def taken_by(
        self, slots: Ints, times_ms: Ints, intervals_ms: Ints, owners: Ints
    ) -> tuple[Bools, Ints]:
        """
        Compare readings with the late readings. Arguments as for `note`.

        Returns:
            (readings,) whether a different late reading is in the same interval, and (readings,)
            the owner of that reading.
        """
        known = self._late.take(_late_entries(slots, times_ms // intervals_ms))
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
    Readings to note.

    Args:
        slots: (readings,) Slot of the series.

        times_ms: (readings,) Time of measurement, ms since 1970.

        intervals_ms: (readings,) Interval of the rule that admitted the reading.

        owners: (readings,) Hash of the envelope.
    """

    slots: Ints
    times_ms: Ints
    intervals_ms: Ints
    owners: Ints

    def of(self, wanted: Bools | Ints) -> "Readings":
        """Return the readings that *wanted*, a mask or indexes, selects."""
        return Readings(
            self.slots[wanted],
            self.times_ms[wanted],
            self.intervals_ms[wanted],
            self.owners[wanted],
        )

    def newest(self) -> "Readings":
        """
        Return the newest reading of each series.

        The readings must be in the order of slots; within a slot they mostly are in that of time.
        """
        found, slots = self, self.slots
        if np.any((slots[1:] == slots[:-1]) & (self.times_ms[1:] < self.times_ms[:-1])):
            found = self.of(np.lexsort((self.times_ms, slots)))
            slots = found.slots
        is_last = np.ones(len(slots), dtype=np.bool_)
        is_last[:-1] = slots[1:] != slots[:-1]
        return found if is_last.all() else found.of(is_last)


class Claim(msgspec.Struct, frozen=True, eq=False):
    """
    The readings whose intervals the kept blocks of one decision reserve.

    Args:
        newest: (blocks,) The newest reading of each block.

        late: The readings that are remembered one by one; None if there are none.

        agents: (blocks,) Agent id as a word.
    """

    newest: Readings
    late: Readings | None
    agents: Words

    def without(self, owners: Ints) -> "Claim":
        """Return this claim without the blocks of the envelopes *owners*."""
        keep = ~np.isin(self.newest.owners, owners)
        late = self.late
        if late is not None:
            late = late.of(~np.isin(late.owners, owners))
        return Claim(self.newest.of(keep), late, self.agents[keep])


class _Undo(msgspec.Struct, frozen=True, eq=False):
    """The readings noted, and (readings,) what was known before of the same series."""

    noted: Readings
    before: Table


class Reservation:
    """
    The intervals that one flush reserves until it is settled.

    Args:
        readings: The readings that all flushes share.
    """

    def __init__(self, readings: LastReadings) -> None:
        self._readings = readings
        self._claims: list[tuple[Claim, _Undo]] = []

    def newest(self, slots: Ints) -> Table:
        """Return the same as `LastReadings.newest`; reserved readings count."""
        return self._readings.newest(slots)

    def taken_by(self, readings: Readings) -> tuple[Bools, Ints]:
        """Return the same as `LastReadings.taken_by`; reserved readings count."""
        return self._readings.taken_by(
            readings.slots, readings.times_ms, readings.intervals_ms, readings.owners
        )

    def are_held(self, owners: Ints, agents: Words) -> Bools:
        """
        Return (conflicts,) whether an unsettled flush of another gateway holds the reading.

        Args:
            owners: (conflicts,) Owner of the reading in the interval.

            agents: (conflicts,) Agent whose block conflicts with that reading.
        """
        wanted, position = np.unique(owners, return_inverse=True)
        is_held = np.zeros(len(wanted), dtype=np.bool_)
        holders = np.zeros(len(wanted), dtype=np.uint64)
        for other in self._readings.reserved:
            for claim, _ in other._claims if other is not self else ():
                theirs = claim.newest.owners
                matches = np.flatnonzero(np.isin(theirs, wanted))
                where = np.searchsorted(wanted, theirs[matches])
                is_held[where] = True
                holders[where] = claim.agents[matches]
        found: Bools = is_held[position] & (holders[position] != agents)
        return found

    def claim(self, claim: Claim) -> None:
        """Reserve the intervals of the readings in *claim*."""
        if (late := claim.late) is not None:
            # A reading that is kept already is that of an earlier delivery of the same envelope.
            # If this delivery turns out to be a duplicate, its release must not forget it.
            late = late.of(
                ~self._readings.has_late(late.slots, late.times_ms, late.intervals_ms, late.owners)
            )
            self._readings.note_late(late.slots, late.times_ms, late.intervals_ms, late.owners)
            claim = msgspec.structs.replace(claim, late=late)
        new = claim.newest.newest()
        before = self._readings.note(new.slots, new.times_ms, new.intervals_ms, new.owners)
        self._claims.append((claim, _Undo(new, before)))

    def release(self, owners: Ints | None = None) -> None:
        """Release the intervals of the envelopes *owners*, or all of them for None."""
        if not self._claims:
            return
        claims, self._claims = self._claims, []
        for claim, undo in reversed(claims):
            self._undo(claim, undo)
        if owners is None:
            return
        for claim, _ in claims:
            left = claim.without(owners)
            if len(left.agents):
                self.claim(left)

    def settle(self, unstored: Ints | None = None) -> None:
        """End the reservation: the readings of all envelopes except *unstored* are stored."""
        if unstored is not None and len(unstored):
            self.release(unstored)
        self._readings.reserved.remove(self)

    def _undo(self, claim: Claim, undo: _Undo) -> None:
        """Take the readings of *claim* out, also where other reservations remember them."""
        if (late := claim.late) is not None:
            self._readings.forget_late(late.slots, late.times_ms, late.intervals_ms, late.owners)
        noted = undo.noted
        superseded = self._readings.restore(noted.slots, noted.times_ms, noted.owners, undo.before)
        for index in superseded.tolist():
            # A newer reading has replaced this one. The reservation of the newer one must not
            # restore this one when it is released.
            reading = noted.slots[index], noted.times_ms[index], noted.owners[index]
            for other in self._readings.reserved:
                other._replace(*reading, undo.before[index])

    def _replace(self, slot: int, time_ms: int, owner: int, before: np.void) -> None:
        """Restore *before* instead of the given reading when this reservation is released."""
        for _, undo in self._claims:
            indexes = np.flatnonzero(undo.noted.slots == slot)
            for index in indexes.tolist():
                if undo.before["time"][index] == time_ms and undo.before["owner"][index] == owner:
                    undo.before[index] = before


def _no_readings(size: int) -> Table:
    readings = np.zeros(size, dtype=READING)
    readings["time"], readings["interval"] = -1, 1
    return readings


def _late_entries(slots: Ints, intervals: Ints) -> Words:
    """Return the index in the table of late readings for each (slot, interval) pair."""
    mixed = slots.astype(np.uint64) * _GOLDEN_RATIO_64 + intervals.astype(np.uint64)
    return (mixed * _GOLDEN_RATIO_64) >> _LATE_SHIFT
