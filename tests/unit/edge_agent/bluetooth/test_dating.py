"""The time of a measurement, from the sensor's clock."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bluetooth.dating import (
    SensorClock,
    SessionClock,
    clock_that_shows,
    local_clock,
    now_shown,
    session_clock,
    start_ms,
)
from edge_agent.gatt.cgm_session import SessionStart
from edge_agent.gatt.date_time import DateTime, Zone
from edge_agent.gatt.meaning import LIVE, When

NOW = dt.datetime(2026, 11, 21, 12, 0, 0)  # noqa: DTZ001 - as a sensor shows it
NOW_MS = 1_795_262_400_000
MINUTE_MS = 60_000


def test_what_is_live_is_now() -> None:
    """A live value has the time of its arrival; earlier beats in it are dated before."""
    assert SensorClock().at_ms(LIVE, now_ms=NOW_MS) == NOW_MS
    assert SensorClock().at_ms(When(before_ms=800), now_ms=NOW_MS) == NOW_MS - 800


@given(st.timedeltas(-dt.timedelta(days=5000), dt.timedelta(days=5000)), st.integers(0, 10**6))
def test_a_wrong_clock_is_corrected(wrong: dt.timedelta, ago_s: int) -> None:
    """However wrong a clock is, a record keeps the age that the clock gives it."""
    clock = clock_that_shows(NOW + wrong, now_ms=NOW_MS)
    stamped = When(sensor_time=NOW + wrong - dt.timedelta(seconds=ago_s))

    at_ms = clock.at_ms(stamped, now_ms=NOW_MS + 5000)

    assert at_ms == pytest.approx(NOW_MS - ago_s * 1000, abs=1)


def test_a_clock_that_nobody_can_read_dates_nothing() -> None:
    """Without a readable clock, or with one that was never set, a timestamp gives no time."""
    assert SensorClock().at_ms(When(sensor_time=NOW), now_ms=NOW_MS) is None
    unset = clock_that_shows(None, now_ms=NOW_MS)
    assert unset.at_ms(When(sensor_time=NOW), now_ms=NOW_MS) is None


def test_a_local_clock_is_taken_at_its_word() -> None:
    """If the operator says so, a sensor's clock is taken as this machine's local time."""
    shown = dt.datetime.fromtimestamp(NOW_MS / 1000)  # noqa: DTZ006 - the local time is meant
    assert local_clock(NOW_MS).at_ms(When(sensor_time=shown), now_ms=0) == NOW_MS


def test_what_is_told_to_a_sensor_is_understood() -> None:
    """A session start that this agent has written is read back as the same time."""
    assert start_ms(SessionStart(*now_shown(NOW_MS))) == NOW_MS


def start_at(shown: dt.datetime, quarters: int | None = 4) -> SessionStart:
    """Return the start of a session, as a sensor reports it."""
    told = DateTime(shown.year, shown.month, shown.day, shown.hour, shown.minute, shown.second)
    return SessionStart(told, Zone(quarters, 0))


def test_a_session_is_dated_by_what_it_tells() -> None:
    """A reported start that agrees with the minutes is used, and is the same each time."""
    start = start_at(NOW - dt.timedelta(minutes=59, seconds=30) + dt.timedelta(hours=1))
    clock = session_clock(59, start, now_ms=NOW_MS)
    assert clock.started_ms == NOW_MS - 59 * MINUTE_MS - 30_000
    assert clock.at_ms(When(session_min=10), now_ms=0) == clock.started_ms + 10 * MINUTE_MS


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(None, id="not told"),
        pytest.param(start_at(NOW - dt.timedelta(hours=9)), id="wrong"),
        pytest.param(start_at(NOW - dt.timedelta(hours=1), None), id="no zone"),
        pytest.param(
            SessionStart(DateTime(None, None, None, 0, 0, 0), Zone(4, 0)), id="never written"
        ),
    ],
)
def test_else_a_session_is_dated_by_its_minutes(start: SessionStart | None) -> None:
    """A start that was never written, or by a wrong clock, is ignored; the minutes decide."""
    assert session_clock(60, start, now_ms=NOW_MS) == SessionClock(NOW_MS - 60 * MINUTE_MS)


def test_a_session_has_no_time_of_day_and_a_clock_no_session() -> None:
    """A session clock cannot date a time of day, and a sensor clock cannot date a minute."""
    assert SessionClock(0).at_ms(When(sensor_time=NOW), now_ms=NOW_MS) is None
    assert SessionClock(0).at_ms(LIVE, now_ms=NOW_MS) == NOW_MS
    assert SensorClock(0).at_ms(When(session_min=5), now_ms=NOW_MS) is None
