"""
Fetches from a glucose meter all records since the last durable one.

The newest record is requested first, to see whether there are new ones. If its sequence is below
that of the last durable record, the memory was cleared: a new generation begins, and all its
records are new. The last durable record is requested again as well: its stamp shows whether it is
still the same memory, even if a cleared memory has grown past that sequence again.
"""

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from edge_agent.bluetooth import inner_clock
from edge_agent.bluetooth.dating import SensorClock
from edge_agent.bluetooth.errors import BluetoothError, Endless, SensorRefused
from edge_agent.bluetooth.inner_clock import Contact
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
_MINUTE_MS: Final = 60_000
_NEWEST: Final = Request(RacpOpCode.REPORT, Operator.LAST)
_log = Log("agent.bluetooth")

MeterReport = RecordAssembler[GlucoseMeasurement, GlucoseContext]
MeterRecord = AssembledRecord[GlucoseMeasurement, GlucoseContext]


class _MemoryReplaced(Exception):
    """The memory was cleared since the last connection."""


def stamp_of(measurement: GlucoseMeasurement) -> int:
    """
    Return 16 bits that distinguish the record from another with the same sequence.

    They are computed from the inner clock, which the owner cannot set, and not from the value,
    because a cursor is stored in plain text.
    """
    return zlib.crc32(date_time.encode(measurement.base_time)) & 0xFFFF


def _is_same(measurement: GlucoseMeasurement, known: RecordCursor) -> bool:
    # Not by the sequence alone: a meter whose memory was cleared counts from 1 again.
    return (measurement.sequence, stamp_of(measurement)) == (known.sequence, known.stamp)


class GlucoseMeterSession:
    """
    One connection to a glucose meter.

    Args:
        link: The connection to the meter.

        sink: Receives the records.

        cursor: Returns the number of the last durable record; 0 if there is none.

        pace: How long to wait for the meter.
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
        self._inner: SensorClock | None = None
        """The inner clock of the meter, which its records are dated by; None if unknown."""

    async def open(self) -> None:
        """Subscribe to records and their contexts."""
        await self._link.subscribe(SERVICE, _MEASUREMENT, self._on_measurement)
        if self._link.can_notify(SERVICE, _CONTEXT):
            await self._link.subscribe(SERVICE, _CONTEXT, self._on_context)
        await self._point.open()

    async def fetch(self) -> None:
        """
        Pass on every record since the last durable one.

        Raises:
            BluetoothError: The transfer was interrupted. What was passed on is valid.
        """
        known = places.decode(self._cursor())
        self._newest = await self._last()
        self._read_inner_clock(known)
        if known is None:
            await self._run(EVERYTHING, RecordAssembler(), _RecordNumbering(0))
        else:
            await self._catch_up(known)
        self._sink.metrics.fetches.inc()

    def _read_inner_clock(self, known: RecordCursor | None) -> None:
        """Decide what the inner clock shows, by the owner's clock and by the last contact."""
        sink, shown = self._sink, self._sink.dater
        shown_ms = shown.ahead_ms if isinstance(shown, SensorClock) else None
        if self._newest is None or shown_ms is None or not sink.clock.is_dated():
            return
        now_ms = sink.clock.now_ms()
        decided = inner_clock.decide(
            self._newest,
            shown_ahead_ms=shown_ms,
            before=sink.clocks.recall(sink.sensor),
            is_new=known is not None and not _is_same(self._newest, known),
            now_ms=now_ms,
        )
        sink.metrics.read_clock(decided.verdict)
        self._inner = SensorClock(decided.ahead_ms, decided.is_uncertain)
        told_ms = shown_ms - (self._newest.time_offset_min or 0) * _MINUTE_MS
        contact = Contact(now_ms, decided.ahead_ms, told_ms)
        sink.clocks.keep(sink.sensor, contact)

    async def _last(self) -> GlucoseMeasurement | None:
        """Return the newest record; None if there is none, or the meter does not support that."""
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
        """Fetch the records from the last known one on."""
        numbering = _RecordNumbering(known.generation, known)
        try:
            request = racp.report_from(known.sequence)
            await self._run(request, RecordAssembler(after=known.sequence - 1), numbering)
        except SensorRefused as exc:
            if not is_unsupported(exc):
                raise
            # The meter can only report everything; `_RecordNumbering` drops known records.
            await self._run(EVERYTHING, RecordAssembler(), numbering)

    async def _run(
        self, request: Request, report: MeterReport, numbering: "_RecordNumbering"
    ) -> None:
        """Run one report, and pass on the records that *numbering* does not know."""

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
        """Add records that arrive to *report* while the context is open."""
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
        record = self._by_one_offset(ready.record)
        for outcome in glucose.observations(record, ready.context, self._sink.quirks):
            measured = self._sink.measure(outcome, record=place.encode(), dater=self._inner)
            await self._sink.put(measured)

    def _by_one_offset(self, record: GlucoseMeasurement) -> GlucoseMeasurement:
        """
        Return *record* with its base time alone, or with today's offset.

        Without an inner clock it gets the time that it would have if the owner's clock had always
        been set as now: the agent reads what that clock shows now.
        """
        if self._inner is not None:
            return msgspec.structs.replace(record, time_offset_min=None)
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
        """Return the report that a record belongs to; None, counted, if it was not requested."""
        self._point.stirred()
        if self._report is None:
            # An earlier process may have requested it. The meter still stores the record.
            self._sink.metrics.dropped(Drop.UNASKED)
        return self._report

    def _try(self, add: Callable[[], None]) -> None:
        try:
            add()
        except Endless as exc:
            self._error = exc


class _RecordNumbering:
    """
    Numbers records, and knows which of them are durable.

    Args:
        generation: The generation of the memory.

        known: The last durable record; None if there is none.
    """

    def __init__(self, generation: int, known: RecordCursor | None = None) -> None:
        self._generation = generation
        self._known = known

    def place_of(self, measurement: GlucoseMeasurement) -> RecordCursor | None:
        """
        Return the position of *measurement*; None if it is durable already.

        Raises:
            _MemoryReplaced: The memory has a different record at a position that is durable.
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
