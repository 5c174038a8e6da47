"""T1D-UOM: glucose and heart rate at the wrist."""

import datetime as dt

import pytest

from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from recordings.vendors import t1d_uom

GLUCOSE = "bg_ts,value\r\n"
SLEEP = (
    "sleep_ts,step_count,heart_rate,current_activity_type_intensity,stress_level_value,"
    "sleep_level,resting_heart_rate\r\n"
)


def at(text: str) -> int:
    """Return the UTC time *text* in ms since 1970."""
    return round(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


def glucose(*rows: str) -> tuple[list[Sample], ParseTally]:
    """Return the samples of a glucose file with *rows*."""
    tally = ParseTally()
    return list(t1d_uom.parse_glucose([GLUCOSE, *(r + "\r\n" for r in rows)], tally)), tally


def heart_rate(*rows: str) -> tuple[list[Sample], ParseTally]:
    """Return the samples of a sleep file with *rows*."""
    tally = ParseTally()
    return list(t1d_uom.parse_heart_rate([SLEEP, *(r + "\r\n" for r in rows)], tally)), tally


def test_day_comes_before_month() -> None:
    """08/10/2023 is the eighth of October, although the data's README says otherwise."""
    samples, _ = glucose("08/10/2023 00:03,11.1")

    assert samples == [Sample(at("2023-10-07T23:03"), "glucose_interstitial", 11.1)]


def test_month_thirteen_is_no_month() -> None:
    """A date that is only valid with day and month exchanged is refused."""
    samples, tally = glucose("10/13/2023 00:03,11.1", "2023-10-08 00:03,11.1")

    assert samples == []
    assert tally.bad == {Reason.BAD_TIME: 2}


def test_autumn_hour_is_read_twice() -> None:
    """The hour that is repeated in autumn is read as two hours, not as duplicates."""
    samples, tally = glucose(
        "29/10/2023 01:30,5.0", "29/10/2023 01:55,5.1", "29/10/2023 01:30,5.2"
    )

    assert [s.offset_ms for s in samples] == [
        at("2023-10-29T00:30"),
        at("2023-10-29T00:55"),
        at("2023-10-29T01:30"),
    ]
    assert tally.bad == {}


def test_spring_hour_is_refused() -> None:
    """A time in the missing hour of spring is refused."""
    assert glucose("31/03/2024 01:30,5.0")[1].bad == {Reason.BAD_TIME: 1}


def test_heart_rate_zero_is_off_the_wrist() -> None:
    """A heart rate of 0 means that the watch is not worn."""
    samples, _ = heart_rate("17/10/2023 00:00,0,0,0,42,0,0", "17/10/2023 00:05,59,93,200,88,0,0")

    assert [(s.value, s.fault) for s in samples] == [(None, SampleFault.OFF_BODY), (93.0, None)]


@pytest.mark.parametrize("value", ["22.2", "27.8"])
def test_saturated_glucose_is_no_value(value: str) -> None:
    """A saturated glucose is no value."""
    samples, _ = glucose(f"08/10/2023 00:03,{value}", "08/10/2023 00:08,22.1")

    assert [(s.value, s.fault) for s in samples] == [(None, SampleFault.SATURATED), (22.1, None)]


def test_hypoglycaemia_is_a_value() -> None:
    """A low glucose value is kept."""
    assert glucose("08/10/2023 00:03,2.3")[0][0].value == 2.3


def test_minute_that_occurs_twice_counts_once() -> None:
    """
    The first value of a minute counts, and later ones are counted as repeated or
    contradicting.
    """
    samples, tally = glucose(
        "08/10/2023 00:03,5.0", "08/10/2023 00:03,5.0", "08/10/2023 00:03,6.0"
    )

    assert [s.value for s in samples] == [5.0]
    assert tally.bad == {Reason.DUPLICATE: 1, Reason.CONFLICTING: 1}
    assert tally.rows == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("08/10/2023 00:03", Reason.UNREADABLE),
        ("08/10/2023 00:03,", Reason.NO_VALUE),
        ("08/10/2023 00:03,nan", Reason.BAD_NUMBER),
        ("08/10/2023 00:03,0", Reason.BAD_NUMBER),
        ("08/10/2023 00:03,-5", Reason.BAD_NUMBER),
    ],
)
def test_bad_row_is_counted_with_its_reason(text: str, reason: Reason) -> None:
    """A bad row is counted with its reason and does not end the reading."""
    samples, tally = glucose(text, "", "08/10/2023 00:08,5.0")

    assert len(samples) == 1
    assert (tally.rows, tally.passed_over, tally.bad) == (2, 1, {reason: 1})


def test_files_are_known_by_name_and_heading() -> None:
    """
    Glucose and sleep files are recognised by name and heading; the number in the name is the
    person.
    """
    assert t1d_uom.is_glucose("UoMGlucose2303.csv", GLUCOSE)
    assert t1d_uom.is_heart_rate("UoMsleep2303.csv", SLEEP)
    assert not t1d_uom.is_heart_rate("UoM2303sleeptime.csv", "calendar_date,")
    assert not t1d_uom.is_glucose("UoMGlucose2303.csv", "something,else")
    assert t1d_uom.person_of("UoMsleep2303.csv") == "2303"
    assert t1d_uom.person_of("UoMBolus2306.csv") is None
