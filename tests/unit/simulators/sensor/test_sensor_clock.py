"""The clock of a virtual sensor."""

import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from simulators.sensor.device.clock import RESET_TO, SensorClock, to_date_time

NOW_S = 1_790_000_000.0


def right() -> datetime.datetime:
    """Return the time of a right clock."""
    return datetime.datetime.fromtimestamp(NOW_S, tz=datetime.UTC).replace(tzinfo=None)


def test_a_clock_may_be_wrong() -> None:
    """A clock shows the time with its error."""
    clock = SensorClock(lambda: NOW_S, ahead_s=90.0)

    assert clock.shown() == right() + datetime.timedelta(seconds=90)
    assert clock.ahead_s() == 90


@given(st.floats(-1e7, 1e7).map(lambda seconds: round(seconds, 6)))
@example(7199.999999)
def test_setting_moves_the_offset_by_minutes(seconds: float) -> None:
    """
    Setting a clock changes its offset in whole minutes, and the base time by half a minute at
    most.
    """
    clock = SensorClock(lambda: NOW_S)
    wanted = right() + datetime.timedelta(seconds=seconds)

    clock.set(wanted)

    assert abs((clock.shown() - wanted).total_seconds()) < 1e-5
    assert abs((clock.base() - right()).total_seconds()) <= 30.00001
    assert clock.times_set == 1


def test_a_reset_forgets_all() -> None:
    """After a change of the battery the clock shows the maker's initial time."""
    clock = SensorClock(lambda: NOW_S, ahead_s=5.0)
    clock.set(right())

    clock.reset()

    assert clock.base() == clock.shown() == RESET_TO


def test_a_clock_runs_on() -> None:
    """The clock advances with the right time."""
    now = [NOW_S]
    clock = SensorClock(lambda: now[0])
    clock.reset()
    now[0] += 61

    assert to_date_time(clock.shown()).minute == 1
    assert to_date_time(clock.shown()).second == 1
