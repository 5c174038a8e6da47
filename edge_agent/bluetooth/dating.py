"""
Converts the times of a sensor to the time of day of this machine. Pure.

The clock of a sensor was set by its owner, to a local time without a zone, or never. The agent
reads it at each connection and corrects the times of records by the difference. A measurement
whose time cannot be determined is refused.
"""

import datetime
import enum
from typing import Final, Protocol

import msgspec

from edge_agent.gatt.cgm_session import SessionStart
from edge_agent.gatt.date_time import DateTime, Zone
from edge_agent.gatt.meaning import When

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - as zoneless as a sensor's clock
_MINUTE_MS: Final = 60_000
_QUARTER_MS: Final = 15 * _MINUTE_MS
# A session counts whole minutes, and the clock of the collector that set its start may be off.
_AGREES_MS: Final = 3 * _MINUTE_MS


class ClockVerdict(enum.StrEnum):
    """What a contact told about the inner clock of a meter. A closed set."""

    FIRST = "first"
    """There is no earlier contact to compare with."""
    CONFIRMED = "confirmed"
    """It goes as at the last contact."""
    MOVED = "moved"
    """The owner's clock was moved after the newest record; the inner clock goes as before."""
    RESET = "reset"
    """The inner clock itself was set, or ours was wrong at the last contact."""
    UNDECIDED = "undecided"
    """Neither can be: the newest record would be in the future, or before the last contact."""


class Dater(Protocol):
    """Determines when a measurement was taken."""

    @property
    def is_uncertain(self) -> bool:
        """Whether times may be wrong by hours."""
        ...

    def at_ms(self, when: When, *, now_ms: int) -> int | None:
        """Return the time of a value that came at *now_ms*; ms since 1970, None if unknown."""
        ...


def shown_ms(shown: datetime.datetime) -> int:
    """Return what a clock shows, as ms since 1970 without a zone."""
    return round((shown - _EPOCH).total_seconds() * 1000)


class SensorClock(msgspec.Struct, frozen=True):
    """The clock of a sensor, or the absence of one in a sensor that sends at once."""

    ahead_ms: int | None = None
    """How far the clock is ahead of UTC, zone included, in ms; None if it cannot be read."""
    is_uncertain: bool = False
    """Whether it may be another clock than that of a record, and times be wrong by hours."""

    def at_ms(self, when: When, *, now_ms: int) -> int | None:
        if when.session_min is not None:
            return None
        if when.sensor_time is None:
            return now_ms - when.before_ms
        if self.ahead_ms is None:
            return None
        return shown_ms(when.sensor_time) - self.ahead_ms


def clock_that_shows(shown: datetime.datetime | None, *, now_ms: int) -> SensorClock:
    """Return the clock that shows *shown* at *now_ms*; None for a clock that was never set."""
    return SensorClock(None if shown is None else shown_ms(shown) - now_ms)


def local_clock(now_ms: int) -> SensorClock:
    """Return a clock that shows this machine's local time at *now_ms*."""
    return clock_that_shows(local(now_ms).replace(tzinfo=None), now_ms=now_ms)


def local(now_ms: int) -> datetime.datetime:
    """Return *now_ms* in this machine's zone."""
    return datetime.datetime.fromtimestamp(now_ms / 1000, tz=datetime.UTC).astimezone()


def now_shown(now_ms: int) -> tuple[DateTime, Zone]:
    """Return *now_ms* as local date and time, and the local zone."""
    here = local(now_ms)
    shown = DateTime(here.year, here.month, here.day, here.hour, here.minute, here.second)
    quarters = (here.utcoffset() or datetime.timedelta()) // datetime.timedelta(minutes=15)
    # Daylight saving is included in the zone: only the sum matters.
    return shown, Zone(quarters, 0)


class SessionClock(msgspec.Struct, frozen=True):
    """The clock of a CGM session, which counts minutes since its start."""

    started_ms: int
    is_uncertain: bool = False

    def at_ms(self, when: When, *, now_ms: int) -> int | None:
        if when.session_min is None:
            return now_ms - when.before_ms if when.sensor_time is None else None
        return self.started_ms + when.session_min * _MINUTE_MS


def session_clock(minute: int, start: SessionStart | None, *, now_ms: int) -> SessionClock:
    """
    Return the clock of the session that is in its *minute* at *now_ms*.

    If the start time that the sensor reports agrees, it is used: it is the same at each
    connection, so that each record gets the same time. Otherwise the clock of the collector that
    set it was wrong, and the clock of this machine decides.
    """
    counted_ms = now_ms - minute * _MINUTE_MS
    told_ms = None if start is None else start_ms(start)
    if told_ms is not None and abs(told_ms - counted_ms) <= _AGREES_MS:
        return SessionClock(told_ms)
    return SessionClock(counted_ms)


def start_ms(start: SessionStart) -> int | None:
    """Return when a session began, ms since 1970, as a collector set it; None if none did."""
    shown = start.date_time.as_datetime()
    if shown is None or start.zone.zone_quarters is None:
        return None
    quarters = start.zone.zone_quarters + (start.zone.dst_quarters or 0)
    return shown_ms(shown) - quarters * _QUARTER_MS
