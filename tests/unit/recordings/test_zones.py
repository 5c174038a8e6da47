"""Local times and instants."""

import datetime as dt

import pytest

from recordings.parsing.zones import REPEATED_HOUR, IanaZone, instants_of

BERLIN = IanaZone("Europe/Berlin")


def ms(text: str) -> int:
    """Return *text* in ms since 1970, as if it were UTC."""
    return round(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


def in_berlin(*walls: str) -> list[str | None]:
    """Return the instants of *walls* in the night of the change, as times of UTC."""
    found = instants_of([ms(f"2025-10-26T{wall}") for wall in walls], BERLIN)
    return [
        f"{dt.datetime.fromtimestamp(one / 1000, dt.UTC):%H:%M}" if isinstance(one, int) else None
        for one in found
    ]


def test_both_passes_are_told_apart_by_their_order() -> None:
    """A clock that goes back has begun its second pass."""
    assert in_berlin("01:45", "02:15", "02:45", "02:15", "02:45", "03:15") == [
        "23:45", "00:15", "00:45", "01:15", "01:45", "02:15",
    ]  # fmt: skip


def test_one_pass_belongs_to_its_near_neighbour() -> None:
    """Readings that go on from those before are of the first pass, else of the second."""
    assert in_berlin("01:55", "02:10") == ["23:55", "00:10"]
    assert in_berlin("02:50", "03:05") == ["01:50", "02:05"]


@pytest.mark.parametrize(
    "walls",
    [
        pytest.param(["02:15"], id="alone"),
        pytest.param(["00:15", "02:30", "05:00"], id="far from others"),
        pytest.param(["02:45", "02:15", "02:45", "02:15"], id="back twice"),
    ],
)
def test_reading_that_nothing_places_is_refused(walls: list[str]) -> None:
    """One of two moments is not chosen by chance."""
    found = instants_of([ms(f"2025-10-26T{wall}") for wall in walls], BERLIN)

    assert [one for one in found if one is REPEATED_HOUR] == [REPEATED_HOUR] * sum(
        wall.startswith("02") for wall in walls
    )


def test_hour_that_the_clock_skipped_has_no_instant() -> None:
    """On the last Sunday of March no clock in Berlin shows 02:30."""
    assert instants_of([ms("2025-03-30T02:30")], BERLIN) == [None]


def test_unknown_zone_is_refused_in_words() -> None:
    """The message says what to write."""
    for name in ("Mars/Base", "../../etc/passwd", "", "\0"):
        with pytest.raises(ValueError, match="Europe/Paris"):
            IanaZone(name)
