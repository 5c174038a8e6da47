"""
Fetches the missed records of a CGM session, then follows the session.

The only number of a record is its minute in the session. A new session, recognised by its start or
by minutes that go back, is a new generation. Its start is the time that a collector has written
into the sensor. If there is none and the agent may not write it, the start is computed from the
clock of this machine; when that clock is set, all stored records are fetched again.

Missed records are requested in windows, the oldest first. Minutes can have gaps of any size, so a
window is passed on only when it is complete. After a lost connection, the next one continues after
the last window that is durable.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from edge_agent.bluetooth.dating import now_shown, session_clock, start_ms
from edge_agent.bluetooth.errors import BluetoothError, Endless, LinkLost, SensorRefused
from edge_agent.bluetooth.notification_sink import NotificationSink
from edge_agent.bluetooth.radio.client import Link
from edge_agent.bluetooth.radio.metrics import Drop
from edge_agent.bluetooth.records import record_cursor as places
from edge_agent.bluetooth.records.record_access import (
    CONTROL_POINT,
    EVERYTHING,
    ControlPoint,
    RequestTiming,
    is_unsupported,
)
from edge_agent.bluetooth.records.record_assembler import RecordAssembler
from edge_agent.bluetooth.records.record_cursor import RecordCursor
from edge_agent.gatt import cgm, cgm_session, racp
from edge_agent.gatt.cgm import CgmMeasurement, CgmRecord
from edge_agent.gatt.cgm_session import CgmFeature, CgmStatus, SessionStart
from edge_agent.gatt.racp import Request
from edge_agent.gatt.registry import CHARACTERISTICS
from edge_agent.values.measurement import Measurement
from runtime.logs import Log

SERVICE: Final = 0x181F
_MEASUREMENT: Final = 0x2AA7
_FEATURE: Final = 0x2AA8
_STATUS: Final = 0x2AA9
_START: Final = 0x2AAA
# Sessions are distinguished by the quarter of an hour in which they began, because the clocks that
# tell the start differ a little each time.
_QUARTER_MS: Final = 900_000
_QUARTERS: Final = 1 << 16
_SAME_QUARTERS: Final = 2
WINDOW_MIN: Final = 720
"""The size of a window in minutes, which is also the most that comes twice after a break."""
_EVERY_MIN: Final = 1 << 16
_log = Log("agent.bluetooth")

SessionReport = RecordAssembler[CgmRecord, None]


def generation_in(known: RecordCursor | None, *, minute: int, stamp: int) -> int:
    """Return the generation of the session that began at *stamp* and is in its *minute*."""
    if known is None:
        return 0
    apart = (stamp - known.stamp) % _QUARTERS
    is_same = min(apart, _QUARTERS - apart) <= _SAME_QUARTERS and minute >= known.sequence
    return known.generation if is_same else known.generation + 1


def _since(minute: int) -> Request:
    return racp.report_from(minute) if minute else EVERYTHING


def stamp_of(started_ms: int) -> int:
    """Return the stamp that distinguishes the session from others."""
    return started_ms // _QUARTER_MS % _QUARTERS


class CgmSensorSession:
    """
    One connection to a CGM sensor.

    Args:
        link: The connection to the sensor.

        sink: Receives the records.

        cursor: Returns the number of the last durable record; 0 if there is none.

        pace: How long to wait for the sensor.

        may_set: Whether to write the start of the session if the sensor does not know it.
    """

    def __init__(
        self,
        link: Link,
        sink: NotificationSink,
        cursor: Callable[[], int],
        pace: RequestTiming,
        *,
        may_set: bool = False,
    ) -> None:
        self._may_set = may_set
        self._link = link
        self._sink = sink
        self._cursor = cursor
        self._point = ControlPoint(link, SERVICE, sink.clock, pace, sink.metrics)
        self._report: SessionReport | None = None
        self._error: BluetoothError | None = None
        self._generation = 0
        self._stamp = 0
        self._minute = -1
        self._now_min = 0
        self._before = 0
        """The first minute that was not requested yet."""

    async def open(self) -> None:
        """Read the state of the session, and subscribe to its records."""
        feature = await self._read(_FEATURE)
        if isinstance(feature, CgmFeature):
            self._sink.quirks = msgspec.structs.replace(self._sink.quirks, e2e_crc=feature.e2e_crc)
        status = await self._read(_STATUS)
        if not isinstance(status, CgmStatus):
            raise SensorRefused("the status of a session")
        self._recognise(status.time_offset_min, await self._read_start())
        has_records = self._link.has(SERVICE, CONTROL_POINT)
        self._report = RecordAssembler() if has_records else None
        await self._link.subscribe(SERVICE, _MEASUREMENT, self._on_measurement)
        if has_records:
            await self._point.open()

    async def _read(self, number: int) -> msgspec.Struct | None:
        if not self._link.has(SERVICE, number):
            return None
        try:
            value = await self._link.read(SERVICE, number)
        except SensorRefused:
            return None
        return self._sink.decode(CHARACTERISTICS[number], value)

    async def _read_start(self) -> SessionStart | None:
        start = await self._read(_START)
        if not isinstance(start, SessionStart):
            return None
        is_unset = start.date_time.as_datetime() is None
        if is_unset and self._may_set and self._sink.clock.is_dated():
            # CGM Service 1.0.2, section 3.4: the sensor derives the start of the session from the
            # time of day that a collector writes.
            now = SessionStart(*now_shown(self._sink.clock.now_ms()))
            value = cgm_session.encode_start(now, self._sink.quirks)
            await self._link.write(SERVICE, _START, value)
            start = await self._read(_START)
        return start if isinstance(start, SessionStart) else None

    def _recognise(self, minute: int, start: SessionStart | None) -> None:
        clock = session_clock(minute, start, now_ms=self._sink.clock.now_ms())
        self._sink.dater = clock
        told_ms = start_ms(start) if start is not None else None
        self._stamp = stamp_of(clock.started_ms if told_ms is None else told_ms)
        known = places.decode(self._cursor())
        if told_ms is None and known is not None and not self._sink.clock.is_dated():
            # Without any clock, only a minute that goes back shows that a new session has begun.
            self._stamp = known.stamp
        self._generation = generation_in(known, minute=minute, stamp=self._stamp)
        self._now_min = minute
        if known is not None and self._generation != known.generation:
            self._sink.metrics.resets.inc()
            _log.info("sensor_session_begun")

    async def fetch(self) -> None:
        """
        Pass on every record since the last durable one, then new records as they come.

        Raises:
            BluetoothError: The session was interrupted. What was passed on is valid.
        """
        known = places.decode(self._cursor())
        is_same = known is not None and known.generation == self._generation
        first = known.sequence + known.taken if known is not None and is_same else 0
        if self._link.has(SERVICE, CONTROL_POINT):
            await self._fetch(first)
        self._sink.metrics.fetches.inc()

    async def _fetch(self, first: int) -> None:
        try:
            while first + WINDOW_MIN <= self._now_min:
                if not await self._fetch_window(first, first + WINDOW_MIN):
                    break
                first += WINDOW_MIN
            await self._fetch_rest(max(first, self._minute + 1))
        finally:
            self._report = None

    async def _fetch_window(self, first: int, before: int) -> bool:
        """
        Fetch the minutes from *first* up to, but not including, *before*; tell whether all came.

        The expected number is the difference of two counts "since a minute", which every sensor
        supports. If a sensor rejects a range or counts it wrongly, return False; the caller then
        requests all remaining records at once.
        """
        # Counted in this order, a record that is measured in between makes the window seem
        # incomplete, and never complete.
        beyond = await self._point.count(racp.report_from(before))
        left = await self._point.count(_since(first))
        # An empty window is not plausible for a sensor that is worn all day: some models return
        # the same count for every request.
        if beyond is None or left is None or left <= beyond:
            return False
        request = racp.report_between(first, before - 1)
        try:
            return await self._run(request, first, before, left - beyond)
        except SensorRefused as exc:
            if not is_unsupported(exc):
                raise
            return False

    async def _fetch_rest(self, first: int) -> None:
        if first >= _EVERY_MIN:
            return  # A minute has 16 bits: the session has no later one.
        for request in (_since(first), EVERYTHING):
            try:
                counted = await self._point.count(request)
                # New records are appended to the report until it is drained for the last time.
                await self._run(request, first, _EVERY_MIN, counted)
            except SensorRefused as exc:
                if not is_unsupported(exc):
                    raise
            else:
                return

    async def _run(self, request: Request, first: int, before: int, counted: int | None) -> bool:
        # Missing records can be detected only for a sensor that measures every minute. Records of
        # other sensors are passed on when the window is complete.
        self._report = report = RecordAssembler[CgmRecord, None](after=first - 1)
        self._before, self._error = before, None

        async def drain() -> None:
            self.check()
            # Repeated, because more records may have come while one waited for room in the inbox,
            # and no later request would fetch them.
            while batch := report.ready():
                for ready in batch:
                    if ready.sequence >= first:
                        await self._sink.put(self._measure(ready.record))

        try:
            is_whole = await self._point.gather(request, report, drain, counted)
        except Endless:
            await self._point.abort()
            raise
        if is_whole or before == _EVERY_MIN:
            report.complete()
            await drain()
        return is_whole

    def check(self) -> None:
        """
        Check that the session continues normally.

        Raises:
            BluetoothError: A record has shown that the session must be read again.
        """
        if self._error is not None:
            raise self._error

    def _measure(self, record: CgmRecord) -> Measurement:
        self._minute = max(self._minute, record.time_offset_min)
        self._sink.metrics.records.inc()
        place = RecordCursor(self._generation, record.time_offset_min, self._stamp)
        (outcome,) = cgm.observations(CgmMeasurement((record,)))
        return self._sink.measure(outcome, record=place.encode())

    def _on_measurement(self, value: bytes) -> None:
        if self._report is None and not self._sink.admit():
            return
        self._point.stirred()
        decoded = self._sink.decode(CHARACTERISTICS[_MEASUREMENT], value)
        if isinstance(decoded, CgmMeasurement):
            for record in decoded.records:
                self._take(record)

    def _take(self, record: CgmRecord) -> None:
        if self._report is not None and record.time_offset_min >= self._before:
            # It would move the cursor past earlier records that are still missing. The sensor
            # stores it, so it is fetched later.
            self._sink.metrics.dropped(Drop.UNASKED)
        elif self._report is not None:
            try:
                self._report.add(record.time_offset_min, record)
            except Endless as exc:
                self._error = exc
        elif record.time_offset_min < self._minute:
            # The minute went back: a new session has begun, and must be read from its start.
            self._error = LinkLost()
        elif self._error is None and not self._sink.hand_on(self._measure(record)):
            # The record was not passed on. It must be fetched again before a later record moves
            # the cursor past it.
            self._error = LinkLost()
