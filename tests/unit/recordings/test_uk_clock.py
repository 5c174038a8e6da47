"""British local time."""

import datetime as dt

import pytest

from recordings.parsing.uk_clock import UkClock


def ms(text: str) -> int:
    """Return *text* in ms since 1970, as if it were UTC."""
    return round(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("wall", "instant"),
    [
        pytest.param("2023-10-08T00:03", "2023-10-07T23:03", id="summer"),
        pytest.param("2023-12-08T00:03", "2023-12-08T00:03", id="winter"),
        pytest.param("2024-03-31T00:59", "2024-03-31T00:59", id="before spring"),
        pytest.param("2024-03-31T02:00", "2024-03-31T01:00", id="after spring"),
        pytest.param("2023-10-29T00:59", "2023-10-28T23:59", id="before autumn"),
        pytest.param("2023-10-29T02:00", "2023-10-29T02:00", id="after autumn"),
        pytest.param("2026-03-29T02:00", "2026-03-29T01:00", id="another year's Sunday"),
    ],
)
def test_wall_time_is_turned_into_the_instant(wall: str, instant: str) -> None:
    """Between the last Sundays of March and October local time is one hour ahead of UTC."""
    assert UkClock().instant_ms(ms(wall)) == ms(instant)


@pytest.mark.parametrize("wall", ["2024-03-31T01:00", "2024-03-31T01:59"])
def test_hour_that_never_was_gives_no_instant(wall: str) -> None:
    """A local time that does not exist gives no time."""
    assert UkClock().instant_ms(ms(wall)) is None


def test_hour_that_was_twice_is_told_apart_by_order() -> None:
    """When local times repeat in autumn, their second occurrence is an hour later."""
    clock = UkClock()
    walls = ["00:55", "01:25", "01:55", "01:25", "01:55", "02:25"]
    instants = [clock.instant_ms(ms(f"2023-10-29T{wall}")) for wall in walls]

    assert instants == [
        ms(f"2023-10-{at}")
        for at in ("28T23:55", "29T00:25", "29T00:55", "29T01:25", "29T01:55", "29T02:25")
    ]


def test_same_minute_twice_in_the_double_hour_is_one_instant() -> None:
    """A minute that a file repeats within the double hour is one time."""
    clock = UkClock()

    assert clock.instant_ms(ms("2023-10-29T01:25")) == clock.instant_ms(ms("2023-10-29T01:25"))
