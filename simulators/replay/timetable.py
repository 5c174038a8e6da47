"""
The timetable of a sensor: which record is due when, and what became of it. Pure.

A sensor measures from the moment at which an agent listens to it until no agent does. Its records
are numbered from 1 and keep the time of their measurement, however late they are fetched. A
bounded number is kept, as a real sensor's memory is bounded.
"""

import collections
from typing import Final

import msgspec

from recordings.sample import Sample
from simulators.people.people import VirtualSensor

MAX_KEPT: Final = 36_000


class DueRecord(msgspec.Struct, frozen=True, gc=False):
    """A sample that was measured, with its number and its time."""

    number: int
    at_ms: int
    """ms since 1970."""
    sample: Sample


class RecordLog(msgspec.Struct):
    """The counters of one sensor's records; times in ms since 1970."""

    handed_over: int = 0
    """Distinct records that were written to the socket of an agent."""
    repeated: int = 0
    """Repeated writes of records that had been sent before."""
    highest_record: int = 0
    values: dict[str, int] = {}
    """Records with a value that were sent, by quantity."""
    faults: dict[str, int] = {}
    """Records without a value that were sent, by fault."""
    overrun: int = 0
    """Records that were dropped before an agent fetched them, because too many were kept."""
    first_listen_at_ms: int | None = None
    last_handed_over_at_ms: int | None = None
    dropped_at_ms: int | None = None
    """When the sensor was told that no agent listens any more; None while one does."""


class Timetable:
    """
    The records of one sensor.

    It has no clock and no tasks: the caller passes the time to each call.

    Args:
        sensor: The sensor.

        speed: How many times faster than life it plays.

        max_kept: How many records are kept until an agent fetches them.
    """

    def __init__(self, sensor: VirtualSensor, *, speed: float, max_kept: int = MAX_KEPT) -> None:
        self.sensor = sensor
        self.books = RecordLog()
        self._speed = speed
        self._max_kept = max_kept
        self._samples = sensor.samples()
        self._next = next(self._samples)
        self._last_number = 0
        self._kept: collections.deque[DueRecord] = collections.deque()
        # The instant, in ms since 1970, at which an offset of the recording is due.
        self._anchor: tuple[float, int] | None = None

    @property
    def pending(self) -> int:
        """How many of the kept records were not sent to an agent yet."""
        return min(len(self._kept), max(0, self._last_number - self.books.highest_record))

    def begin(self, now_ms: float) -> None:
        """
        Measure from *now_ms* on, unless it does already; the recording continues
        where it stopped.
        """
        if self._anchor is None:
            self._anchor = (now_ms, self._next.offset_ms)
            self.books.dropped_at_ms = None
            if self.books.first_listen_at_ms is None:
                self.books.first_listen_at_ms = round(now_ms)

    def end(self, now_ms: float) -> None:
        """Stop measuring; records that were not sent by now are dropped."""
        if self._anchor is None:
            return
        self._anchor = None
        self.books.dropped_at_ms = round(now_ms)
        while self._kept and self._kept[-1].number > self.books.highest_record:
            self._last_number = self._kept.pop().number - 1

    def resume_after(self, number: int) -> None:
        """
        Continue numbering from *number*, if an agent knows records that this run did
        not create.
        """
        if number > self._last_number:
            self._kept.clear()
            self._last_number = number

    def due_at_ms(self) -> float | None:
        """Return when the next record is due, or None while no agent listens."""
        if self._anchor is None:
            return None
        anchored_at_ms, offset_ms = self._anchor
        return anchored_at_ms + (self._next.offset_ms - offset_ms) / self._speed

    def advance(self, now_ms: float) -> int:
        """Take all measurements due by *now_ms*; return how many there were."""
        made = 0
        while (due := self.due_at_ms()) is not None and due <= now_ms:
            self._last_number += 1
            self._kept.append(DueRecord(self._last_number, int(due), self._next))
            self._next = next(self._samples)
            made += 1
        while len(self._kept) > self._max_kept:
            forgotten = self._kept.popleft()
            self.books.overrun += forgotten.number > self.books.highest_record
        return made

    def after(self, number: int, *, limit: int) -> list[DueRecord]:
        """Return the first kept records after *number*, at most *limit*."""
        if not self._kept:
            return []
        # Numbers have no gaps, so that the position of one record gives that of all.
        begin = max(0, number + 1 - self._kept[0].number)
        return [self._kept[i] for i in range(begin, min(begin + limit, len(self._kept)))]

    def hand_over(self, record: DueRecord, now_ms: float) -> None:
        """Count that *record* was written to the socket of an agent."""
        books = self.books
        if record.number <= books.highest_record:
            books.repeated += 1
            return
        books.handed_over += 1
        books.highest_record = record.number
        books.last_handed_over_at_ms = round(now_ms)
        sample = record.sample
        if sample.fault is None:
            books.values[sample.quantity] = books.values.get(sample.quantity, 0) + 1
        else:
            books.faults[sample.fault] = books.faults.get(sample.fault, 0) + 1


def speed_of(sensor: VirtualSensor, *, speed: float, max_hz: float) -> float:
    """
    Return how fast *sensor* may play at *speed*: at most *max_hz* measurements a second.

    A CGM sensor that measures each five minutes only shows much when time is compressed; a strap
    that measures each second would flood an agent at that speed.
    """
    return min(speed, sensor.step_ms / 1000 * max_hz)
