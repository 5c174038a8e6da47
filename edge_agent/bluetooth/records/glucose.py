"""
A glucose meter: fetch what it has stored since the record that is durable with us.

The newest record is asked for first. It tells whether there is anything new; and if it stands
before the one that we have last, the memory was cleared and counts anew: a new generation begins,
and all in it is new. The record that we have last is asked for once more too: by its stamp we
recognise it, and with it the memory, should it have grown past that record again.
"""

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from edge_agent.bluetooth.errors import BluetoothError, Endless, SensorRefused
from edge_agent.bluetooth.notification_sink import NotificationSink
from edge_agent.bluetooth.radio.client import Link
from edge_agent.bluetooth.radio.metrics import Drop
from edge_agent.bluetooth.records import record_cursor as places
from edge_agent.bluetooth.records.record_access import (
    EVERYTHING,
    ControlPoint,
    RequestTiming,
    is_unsupported,
)
from edge_agent.bluetooth.records.record_assembler import AssembledRecord, RecordAssembler
from edge_agent.bluetooth.records.record_cursor import RecordCursor
from edge_agent.gatt import date_time, glucose, racp
from edge_agent.gatt.glucose import GlucoseMeasurement
from edge_agent.gatt.glucose_context import GlucoseContext
from edge_agent.gatt.racp import Operator, RacpOpCode, Request
from edge_agent.gatt.registry import CHARACTERISTICS
from runtime.logs import Log

SERVICE: Final = 0x1808
_MEASUREMENT: Final = 0x2A18
_CONTEXT: Final = 0x2A34
_NEWEST: Final = Request(RacpOpCode.REPORT, Operator.LAST)
_log = Log("agent.bluetooth")

MeterReport = RecordAssembler[GlucoseMeasurement, GlucoseContext]
MeterRecord = AssembledRecord[GlucoseMeasurement, GlucoseContext]


class _MemoryReplaced(Exception):
    """The memory is not the one that we know."""


def stamp_of(measurement: GlucoseMeasurement) -> int:
    """
    Return 16 bits that tell the record from another with its sequence.

    Of the inner clock alone, which nobody sets: not of the value, because a cursor lies in clear.
    """
    return zlib.crc32(date_time.encode(measurement.base_time)) & 0xFFFF


class GlucoseMeterSession:
    """
    One connection to a glucose meter.

    Args:
        link: To the meter.

        sink: Where records go.

        cursor: Returns the number of the last record that is durable; 0 for none.

        pace: How patient to be.
    """

    def __init__(
        self, link: Link, sink: NotificationSink, cursor: Callable[[], int], pace: RequestTiming
    ) -> None:
        self._link = link
        self._sink = sink
        self._cursor = cursor
        self._point = ControlPoint(link, SERVICE, sink.clock, pace, sink.metrics)
        self._report: MeterReport | None = None
        self._error: BluetoothError | None = None
        self._newest: GlucoseMeasurement | None = None

    async def open(self) -> None:
        """Be told of records."""
        await self._link.subscribe(SERVICE, _MEASUREMENT, self._on_measurement)
        if self._link.can_notify(SERVICE, _CONTEXT):
            await self._link.subscribe(SERVICE, _CONTEXT, self._on_context)
        await self._point.open()

    async def fetch(self) -> None:
        """
        Hand over every record since the last that is durable.

        Raises:
            BluetoothError: It did not come to its end. What was handed over is good.
        """
        known = places.decode(self._cursor())
        self._newest = await self._last()
        if known is None:
            await self._run(EVERYTHING, RecordAssembler(), _RecordNumbering(0))
        else:
            await self._catch_up(known)
        self._sink.metrics.fetches.inc()

    async def _last(self) -> GlucoseMeasurement | None:
        """Return the newest record; None if there is none, or the meter does not tell."""
        report: MeterReport = RecordAssembler()
        try:
            with self._into(report):
                await self._point.report(_NEWEST, self._check)
        except SensorRefused as exc:
            if not is_unsupported(exc):
                raise
        return report.newest()

    async def _catch_up(self, known: RecordCursor) -> None:
        try:
            if self._newest is not None:
                here = _RecordNumbering(known.generation, known).place_of(self._newest)
                if here is None and self._newest.sequence == known.sequence:
                    return
                if here is None:
                    raise _MemoryReplaced
            await self._since(known)
        except _MemoryReplaced:
            self._sink.metrics.resets.inc()
            _log.warning("sensor_memory_cleared")
            await self._run(EVERYTHING, RecordAssembler(), _RecordNumbering(known.generation + 1))

    async def _since(self, known: RecordCursor) -> None:
        """Fetch from the record that we know on."""
        numbering = _RecordNumbering(known.generation, known)
        try:
            request = racp.report_from(known.sequence)
            await self._run(request, RecordAssembler(after=known.sequence - 1), numbering)
        except SensorRefused as exc:
            if not is_unsupported(exc):
                raise
            # It can only report everything; the keeper leaves out what we have.
            await self._run(EVERYTHING, RecordAssembler(), numbering)

    async def _run(
        self, request: Request, report: MeterReport, numbering: "_RecordNumbering"
    ) -> None:
        """Run one report, and hand over what *numbering* does not know."""

        async def drain() -> None:
            await self._check()
            for ready in report.ready():
                await self._keep(ready, numbering)

        newest = None if self._newest is None else self._newest.sequence
        with self._into(report):
            try:
                await self._point.fetch(request, report, drain, newest=newest)
            except (_MemoryReplaced, Endless):
                await self._point.abort()
                raise

    @contextlib.contextmanager
    def _into(self, report: MeterReport) -> Iterator[None]:
        """Let records come into *report* while the context is open."""
        self._report, self._error = report, None
        try:
            yield
        finally:
            self._report = None

    async def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _keep(self, ready: MeterRecord, numbering: "_RecordNumbering") -> None:
        place = numbering.place_of(ready.record)
        if place is None:
            return
        self._sink.metrics.records.inc()
        record = self._by_todays_offset(ready.record)
        for outcome in glucose.observations(record, ready.context, self._sink.quirks):
            await self._sink.put(self._sink.measure(outcome, record=place.encode()))

    def _by_todays_offset(self, record: GlucoseMeasurement) -> GlucoseMeasurement:
        """
        Return *record* as it were if its owner had always had the clock set as it is now.

        Only by such a clock can it be dated: we read what the clock shows today.
        """
        if self._newest is None:
            return record
        return msgspec.structs.replace(record, time_offset_min=self._newest.time_offset_min)

    def _on_measurement(self, value: bytes) -> None:
        if (report := self._asked()) is None:
            return
        decoded = self._sink.decode(CHARACTERISTICS[_MEASUREMENT], value)
        if isinstance(decoded, GlucoseMeasurement):
            waits = decoded.context_follows
            self._try(lambda: report.add(decoded.sequence, decoded, waits=waits))

    def _on_context(self, value: bytes) -> None:
        if (report := self._asked()) is None:
            return
        decoded = self._sink.decode(CHARACTERISTICS[_CONTEXT], value)
        if isinstance(decoded, GlucoseContext):
            self._try(lambda: report.add_context(decoded.sequence, decoded))

    def _asked(self) -> MeterReport | None:
        """Return the report that a record belongs to; None, and counted, if we did not ask."""
        self._point.stirred()
        if self._report is None:
            # Somebody else may have, who died: the meter has it still, and it comes to us too.
            self._sink.metrics.dropped(Drop.UNASKED)
        return self._report

    def _try(self, add: Callable[[], None]) -> None:
        try:
            add()
        except Endless as exc:
            self._error = exc


class _RecordNumbering:
    """
    Numbers records, and knows which of them we have.

    Args:
        generation: Of the memory.

        known: The last that we have; None for none.
    """

    def __init__(self, generation: int, known: RecordCursor | None = None) -> None:
        self._generation = generation
        self._known = known

    def place_of(self, measurement: GlucoseMeasurement) -> RecordCursor | None:
        """
        Return where *measurement* stands; None when we have it.

        Raises:
            _Cleared: It stands where another one stood.
        """
        here = RecordCursor(self._generation, measurement.sequence, stamp_of(measurement))
        known = self._known
        if known is None or here.sequence > known.sequence:
            return here
        if here.sequence < known.sequence:
            return None
        if here.stamp != known.stamp:
            raise _MemoryReplaced
        return None if known.taken else here
