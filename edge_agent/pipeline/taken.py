"""
What was taken for one handle, so that what a sensor sends again is not observed twice. Pure.

A time does not tell whether a measurement is new: a meter's clock is set back, and a cuff sends
its memory newest first. A stored record is recognised by its number, which grows. What a person
took with a cuff or a scale has no number. It is recognised by the second in which it was taken by
the sensor's own clock; the newest of these seconds outlive the process, under checkpoints.

Another handle of the same sensor may be further: each purpose has intervals of its own.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from edge_agent.values.checkpoint import (
    Checkpoint,
    cursor_of,
    record_of,
    single_of,
    spent_of,
)
from edge_agent.values.measurement import Measurement
from wire.lease import Binding, Grant

SLOTS: Final = 32
"""How many measurements that people took outlive the process."""
_MOST: Final = 2048
"""How many are remembered while it runs."""


def marks_of_grant(grant: Grant) -> Iterator[Checkpoint]:
    """Yield the checkpoints that `Taken` needs for *grant*."""
    yield from (single_of(grant.handle, slot) for slot in range(SLOTS))
    for sensor in {Binding.parse(text).address for text in grant.bindings}:
        yield from (record_of(grant.handle, rule.quantity, sensor) for rule in grant.rules)


class Taken:
    """
    The stored records, and what people took, of one handle.

    Args:
        grant: The grant of the handle.

        marks: The checkpoints in the spool.
    """

    def __init__(self, grant: Grant, marks: Mapping[Checkpoint, int]) -> None:
        self._handle = grant.handle
        self._records: dict[tuple[int, str], int] = {}
        self._is_by_time: set[tuple[int, str]] = set()
        """What an earlier version took, which told by the time alone what is new."""
        self._singles = _Singles(grant.handle, marks)
        self.extend(grant, marks)

    def extend(self, grant: Grant, marks: Mapping[Checkpoint, int]) -> None:
        """Add the quantities and sensors of *grant* that are new."""
        for sensor in {Binding.parse(text).address for text in grant.bindings}:
            for key in ((rule.quantity, sensor) for rule in grant.rules):
                if key in self._records:
                    continue
                known = marks.get(record_of(grant.handle, *key))
                self._records[key] = known or 0
                is_old = spent_of(grant.handle, key[0]) in marks and cursor_of(sensor) in marks
                if known is None and is_old:
                    self._is_by_time.add(key)

    def is_recognised(self, measurement: Measurement) -> bool:
        """Tell whether *measurement* is known to be new whatever its time is."""
        if measurement.record is None:
            return measurement.stamp_s is not None
        return (measurement.quantity, measurement.sensor) not in self._is_by_time

    def take(self, measurement: Measurement) -> bool:
        """Note *measurement*; return False if it was taken before, or may have been."""
        if measurement.record is not None:
            key = measurement.quantity, measurement.sensor
            if measurement.record <= self._records.get(key, 0):
                return False
            self._records[key] = measurement.record
            return True
        stamp_s = measurement.stamp_s
        return stamp_s is None or self._singles.take(stamp_s, measurement.quantity)

    def marks(
        self, open_records: Mapping[int, Mapping[str, int]], *, has_open_singles: bool
    ) -> Iterator[tuple[Checkpoint, int]]:
        """
        Yield the checkpoints to save once everything but open intervals is durable.

        Args:
            open_records: By quantity and sensor, the lowest record of an open interval.

            has_open_singles: Whether an open interval holds what a person took.
        """
        for (quantity, sensor), last in self._records.items():
            lowest = open_records.get(quantity, {}).get(sensor, last + 1)
            if lowest > 1:
                yield record_of(self._handle, quantity, sensor), lowest - 1
        if not has_open_singles:
            yield from self._singles.marks()


class _Singles:
    """The seconds in which people measured, by the clock of the sensor."""

    def __init__(self, handle: bytes, marks: Mapping[Checkpoint, int]) -> None:
        self._handle = handle
        found = {slot: marks.get(single_of(handle, slot)) for slot in range(SLOTS)}
        self._slots = {slot: stamp for slot, stamp in found.items() if stamp is not None}
        self._taken: dict[int, set[int] | None] = dict.fromkeys(self._slots.values())
        """The quantities that came with each stamp; None for all, before this process began."""
        self._floor = min(self._taken, default=0) if len(self._slots) == SLOTS else 0

    def take(self, stamp_s: int, quantity: int) -> bool:
        if stamp_s < self._floor:
            return False
        known = self._taken.setdefault(stamp_s, set())
        if known is None or quantity in known:
            return False
        known.add(quantity)
        if len(self._taken) > _MOST:
            earliest = min(self._taken)
            del self._taken[earliest]
            self._floor = earliest + 1
        return True

    def marks(self) -> Iterator[tuple[Checkpoint, int]]:
        """Yield the checkpoints of the newest ones; the number of a checkpoint only grows."""
        kept = set(self._slots.values())
        for stamp_s in sorted(self._taken.keys() - kept, reverse=True)[:SLOTS]:
            self._keep(stamp_s)
        for slot, stamp_s in self._slots.items():
            yield single_of(self._handle, slot), stamp_s

    def _keep(self, stamp_s: int) -> None:
        free = len(self._slots)
        slot = free if free < SLOTS else min(self._slots, key=self._slots.__getitem__)
        if stamp_s > self._slots.get(slot, -1):
            self._slots[slot] = stamp_s
