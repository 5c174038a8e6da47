"""Fields of text files."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.recordings.fields import ascending, number, row, wall_ms
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally, Reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [("72", 72.0), (" 6.5 ", 6.5), ("-1", -1.0), ("5.", 5.0)],
)
def test_number_reads_decimals(text: str, expected: float) -> None:
    """Plain decimals are numbers."""
    assert number(text) == expected


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e3", "1_000", "0x10", "７２", "72 bpm", "-"])
def test_number_reads_nothing_else(text: str) -> None:
    """Other notations that float() or int() accept are refused."""
    assert number(text) is None


@pytest.mark.parametrize(
    ("clock", "expected_h"),
    [("5:14", 5), ("12:00 AM", 0), ("12:00 PM", 12), ("1:00 PM", 13), ("05:14:59", 5)],
)
def test_time_of_day_reads_both_notations(clock: str, expected_h: int) -> None:
    """Both notations of the time are read: 12 AM is midnight, and 12 PM noon."""
    at_ms = wall_ms(1970, 1, 1, clock)

    assert at_ms is not None
    assert at_ms // 3_600_000 == expected_h


@pytest.mark.parametrize(
    ("day", "clock"), [(31, "1:00"), (1, "24:00"), (1, "1:60"), (1, "13:00 PM"), (1, "noon")]
)
def test_time_that_does_not_exist_is_none(day: int, clock: str) -> None:
    """A time that does not exist is refused."""
    assert wall_ms(2024, 4, day, clock) is None


def test_row_with_broken_quotes_is_none() -> None:
    """A row with an unclosed quote is unreadable, without an error."""
    assert row('a,"b', ",") is None
    assert row('a,"b,c"', ",") == ["a", "b,c"]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3))))
def test_ascending_accounts_for_every_sample(pairs: list[tuple[int, int]]) -> None:
    """Samples are strictly ascending, and each omitted one is counted."""
    tally = ParseTally()
    samples = [Sample(at, "heart_rate", float(value)) for at, value in pairs]
    kept = list(ascending(samples, tally))

    assert all(a.offset_ms < b.offset_ms for a, b in itertools.pairwise(kept))
    assert len(kept) + sum(tally.bad.values()) == len(samples)


def test_ascending_says_what_is_wrong() -> None:
    """A repeated time, another value for a time, and a step back are distinguished."""
    tally = ParseTally()
    values = [(5, 1.0), (5, 1.0), (5, 2.0), (4, 1.0)]
    kept = list(ascending((Sample(at, "heart_rate", v) for at, v in values), tally))

    assert kept == [Sample(5, "heart_rate", 1.0)]
    assert tally.bad == {Reason.DUPLICATE: 1, Reason.CONFLICTING: 1, Reason.NOT_ASCENDING: 1}
