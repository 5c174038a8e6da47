"""One connection to a sensor: subscribe, fetch records, set its clock, until it falls silent."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from edge_agent.bluetooth import dating
from edge_agent.bluetooth.errors import Flooding, SensorRefused, Silent
from edge_agent.bluetooth.models import Models, quirks_of
from edge_agent.bluetooth.notification_sink import NotificationSink
from edge_agent.bluetooth.radio.client import Link
from edge_agent.bluetooth.records import cgm, glucose
from edge_agent.bluetooth.records.record_access import RequestTiming
from edge_agent.gatt import date_time
from edge_agent.gatt.date_time import CurrentTime, DateTime
from edge_agent.gatt.registry import CHARACTERISTICS

_LOOK_EVERY_S: Final = 1.0
_TIME_SERVICE: Final = 0x1805
_CURRENT_TIME: Final = 0x2A2B
_MINUTE_MS: Final = 60_000
_STEPPED_MS: Final = 1000
BATTERY: Final = (0x180F, 0x2A19)
CONTINUOUS: Final = ((0x180D, 0x2A37), (0x1822, 0x2A5F))
"""Sent about once a second while the sensor is worn: silence means a problem."""
EPISODIC: Final = ((0x1822, 0x2A5E), (0x1810, 0x2A35), (0x1809, 0x2A1C), (0x181D, 0x2A9D))
"""Sent when a person takes a measurement."""


class SessionTiming(msgspec.Struct, frozen=True):
    """How long a connected sensor may be silent, in seconds."""

    silence_s: float = 30.0
    """The limit for a sensor that sends every second."""
    session_silence_s: float = 900.0
    """The limit for a CGM sensor, which sends every few minutes."""
    records: RequestTiming = RequestTiming()
    rest_s: float = 60.0
    """The pause before a meter that stays connected is asked for new records, in seconds."""


class ClockPolicy(msgspec.Struct, frozen=True):
    """How to treat the clocks of sensors."""

    assume_local: bool = False
    """Whether a clock that cannot be read counts as right, in this machine's time zone."""
    set_clocks: bool = False
    """Whether to set a clock that is off by a minute or was never set, to the local time."""


class SensorSession:
    """
    One connection to one sensor, from its beginning to its end.

    Args:
        link: The connection to the sensor.

        sink: Receives its values.

        cursor: Returns the number of the last durable record; 0 if there is none.

        timing: How long the sensor may be silent.

        trust: How to treat the sensor's clock.

        models: How models depart from the specification.
    """

    def __init__(
        self,
        link: Link,
        sink: NotificationSink,
        cursor: Callable[[], int],
        timing: SessionTiming,
        trust: ClockPolicy,
        models: Models,
    ) -> None:
        self._link = link
        self._sink = sink
        self._cursor = cursor
        self._timing = timing
        self._trust = trust
        self._models = models

    async def run(self) -> float:
        """
        Take everything that the sensor sends; return the pause before the next connection, in s.

        Raises:
            BluetoothError: The connection ended or failed before.
        """
        offset_ms = self._offset_ms()
        self._sink.quirks = await quirks_of(self._link, self._models)
        await self._read_clock()
        silence_s = await self._subscribe()
        session = await self._follow_session()
        if session is not None:
            silence_s = self._timing.session_silence_s
        has_records = await self._fetch_records()
        if silence_s is None and has_records:
            return self._timing.rest_s
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, (silence_s or _LOOK_EVERY_S) / 4))
            self._look(silence_s)
            if session is not None:
                session.check()
            if abs(self._offset_ms() - offset_ms) > _STEPPED_MS:
                return 0.0  # This machine's clock was set: the sensor's clock must be read again.

    def _offset_ms(self) -> float:
        """Return the time of day minus the monotonic clock, in ms."""
        clock = self._sink.clock
        return clock.now_ms() - clock.now() * 1000

    def _look(self, silence_s: float | None) -> None:
        if self._sink.is_flooded:
            raise Flooding
        quiet_s = self._sink.clock.now() - self._sink.heard_at
        if silence_s is not None and quiet_s > silence_s:
            raise Silent

    async def _subscribe(self) -> float | None:
        """Subscribe to notifications; return the longest allowed silence in s; None if none."""
        wanted = [key for key in (*CONTINUOUS, *EPISODIC) if self._link.can_notify(*key)]
        if not wanted and not self._has_records():
            raise SensorRefused("something to read")
        await self._read_battery()
        for service, number in wanted:
            await self._live(service, number, is_single=(service, number) in EPISODIC)
        if not set(CONTINUOUS).isdisjoint(wanted):
            return self._timing.silence_s
        # For ever: a connected thermometer sends nothing until a person uses it.
        return float("inf") if wanted else None

    def _has_records(self) -> bool:
        return self._link.can_notify(glucose.SERVICE, 0x2A18) or self._link.can_notify(
            cgm.SERVICE, 0x2AA7
        )

    async def _live(self, service: int, number: int, *, is_single: bool) -> None:
        characteristic = CHARACTERISTICS[number]
        await self._link.subscribe(
            service,
            number,
            lambda value: self._sink.live(characteristic, value, is_single=is_single),
        )

    async def _read_battery(self) -> None:
        if not self._link.has(*BATTERY):
            return
        try:
            value = await self._link.read(*BATTERY)
        except SensorRefused:
            return  # Some sensors require a bond only to read this characteristic.
        self._sink.live(CHARACTERISTICS[BATTERY[1]], value)

    async def _follow_session(self) -> cgm.CgmSensorSession | None:
        if not self._link.can_notify(cgm.SERVICE, 0x2AA7):
            return None
        session = cgm.CgmSensorSession(
            self._link,
            self._sink,
            self._cursor,
            self._timing.records,
            may_set=self._trust.set_clocks,
        )
        await session.open()
        await session.fetch()
        return session

    async def _fetch_records(self) -> bool:
        if not self._link.can_notify(glucose.SERVICE, 0x2A18):
            return False
        meter = glucose.GlucoseMeterSession(
            self._link, self._sink, self._cursor, self._timing.records
        )
        await meter.open()
        await meter.fetch()
        await self._set_clock()
        return True

    async def _read_clock(self) -> None:
        """Read the sensor's clock, and note its difference."""
        shown = await self._shown()
        now_ms = self._sink.clock.now_ms()
        if shown is not None:
            self._sink.dater = dating.clock_that_shows(shown.as_datetime(), now_ms=now_ms)
        elif self._trust.assume_local:
            self._sink.dater = dating.local_clock(now_ms)
        self._is_off = shown is not None and _is_off(shown, now_ms)
        if self._is_off:
            self._sink.metrics.clocks.inc()

    async def _shown(self) -> DateTime | None:
        if not self._link.has(_TIME_SERVICE, _CURRENT_TIME):
            return None
        try:
            value = await self._link.read(_TIME_SERVICE, _CURRENT_TIME)
        except SensorRefused:
            return None
        decoded = self._sink.decode(CHARACTERISTICS[_CURRENT_TIME], value)
        return decoded.date_time if isinstance(decoded, CurrentTime) else None

    async def _set_clock(self) -> None:
        """Set the sensor's clock, after all records that it stamped have been fetched."""
        may = self._trust.set_clocks and self._link.can_write(_TIME_SERVICE, _CURRENT_TIME)
        # A clock is set only while the time of day is known here.
        if may and self._is_off and self._sink.clock.is_dated():
            shown, _ = dating.now_shown(self._sink.clock.now_ms())
            # GSS, Current Time, Adjust Reason: bit 0 is Manual Time Update.
            value = date_time.encode_current_time(CurrentTime(shown, 0, 0, 1))
            await self._link.write(_TIME_SERVICE, _CURRENT_TIME, value)


def _is_off(shown: DateTime, now_ms: int) -> bool:
    """Tell whether a clock differs from the local time by a minute or more."""
    day = shown.as_datetime()
    if day is None:
        return True
    right = dating.local(now_ms).replace(tzinfo=None)
    return abs((day - right).total_seconds()) * 1000 >= _MINUTE_MS
