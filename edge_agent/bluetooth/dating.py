"""
When a sensor measured, by our clock. Pure.

A sensor's clock was set by its owner, once, to a local time without a zone, or never. So it is
read on each connection, and what it stamped is moved by as much as it is off. What cannot be dated
is not guessed: it is refused.
"""

import datetime
from typing import Final, Protocol

import msgspec

from edge_agent.gatt.cgm_session import SessionStart
from edge_agent.gatt.date_time import DateTime, Zone
from edge_agent.gatt.meaning import When

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - as zoneless as a sensor's clock
_MINUTE_MS: Final = 60_000
_QUARTER_MS: Final = 15 * _MINUTE_MS
# A session tells its minute only, and its start is written by a collector whose clock may be off.
_AGREES_MS: Final = 3 * _MINUTE_MS


class Dater(Protocol):
    """Tells when something was measured."""

    def at_ms(self, when: When, *, now_ms: int) -> int | None:
        """Return when, ms since 1970, of a value that came at *now_ms*; None if nobody knows."""
        ...


def _shown_ms(shown: datetime.datetime) -> int:
    return round((shown - _EPOCH).total_seconds() * 1000)


class SensorClock(msgspec.Struct, frozen=True):
    """The clock of a sensor that has one, and of most that have none."""

    ahead_ms: int | None = None
    """How far what it shows is ahead of UTC, zone included; None if it cannot be read."""

    def at_ms(self, when: When, *, now_ms: int) -> int | None:
        if when.session_min is not None:
            return None
        if when.sensor_time is None:
            return now_ms - when.before_ms
        if self.ahead_ms is None:
            return None
        return _shown_ms(when.sensor_time) - self.ahead_ms


def clock_that_shows(shown: datetime.datetime | None, *, now_ms: int) -> SensorClock:
    """Return the clock that shows *shown* at *now_ms*; None stands for one that was never set."""
    return SensorClock(None if shown is None else _shown_ms(shown) - now_ms)


def local_clock(now_ms: int) -> SensorClock:
    """Return a clock that shows this machine's local time at *now_ms*."""
    return clock_that_shows(local(now_ms).replace(tzinfo=None), now_ms=now_ms)


def local(now_ms: int) -> datetime.datetime:
    """Return *now_ms* in this machine's zone."""
    return datetime.datetime.fromtimestamp(now_ms / 1000, tz=datetime.UTC).astimezone()


def now_shown(now_ms: int) -> tuple[DateTime, Zone]:
    """Return *now_ms* as a clock on the wall here shows it, and where it hangs."""
    here = local(now_ms)
    shown = DateTime(here.year, here.month, here.day, here.hour, here.minute, here.second)
    quarters = (here.utcoffset() or datetime.timedelta()) // datetime.timedelta(minutes=15)
    # With daylight saving in it: what matters is the sum.
    return shown, Zone(quarters, 0)


class SessionClock(msgspec.Struct, frozen=True):
    """The clock of a CGM session, which counts minutes."""

    started_ms: int

    def at_ms(self, when: When, *, now_ms: int) -> int | None:
        if when.session_min is None:
            return now_ms - when.before_ms if when.sensor_time is None else None
        return self.started_ms + when.session_min * _MINUTE_MS


def session_clock(minute: int, start: SessionStart | None, *, now_ms: int) -> SessionClock:
    """
    Return the clock of the session that is in its *minute* at *now_ms*.

    Where the start that the sensor tells agrees, it is taken: the same at each connection, it
    gives each record the same time. Else some collector's clock was wrong, and ours decides.
    """
    counted_ms = now_ms - minute * _MINUTE_MS
    told_ms = None if start is None else start_ms(start)
    if told_ms is not None and abs(told_ms - counted_ms) <= _AGREES_MS:
        return SessionClock(told_ms)
    return SessionClock(counted_ms)


def start_ms(start: SessionStart) -> int | None:
    """Return when a session began, by the clock that a collector gave it; None if none did."""
    shown = start.date_time.as_datetime()
    if shown is None or start.zone.zone_quarters is None:
        return None
    quarters = start.zone.zone_quarters + (start.zone.dst_quarters or 0)
    return _shown_ms(shown) - quarters * _QUARTER_MS
