"""Polar H10 notifications."""

import pytest

from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from recordings.vendors import polar_h10

HEADING = "epoch_s,hr_bpm,rr_ms\n"


def strap(*rows: str) -> tuple[list[Sample], ParseTally]:
    """Return the samples of a recording with *rows*."""
    tally = ParseTally()
    return list(polar_h10.parse([HEADING, *(r + "\n" for r in rows)], tally)), tally


def test_notification_gives_rate_and_intervals() -> None:
    """A row without a rate is the second interval of the same notification."""
    samples, tally = strap("1714920602.679514,90,1073", "1714920602.687196,,413")

    assert samples == [
        Sample(1_714_920_602_680, "heart_rate", 90.0),
        Sample(1_714_920_602_680, "rr_interval", 1073.0),
        Sample(1_714_920_602_687, "rr_interval", 413.0),
    ]
    assert (tally.rows, tally.passed_over, tally.bad) == (2, 1, {})


def test_rate_may_come_without_interval() -> None:
    """A notification has 0, 1 or 2 intervals."""
    assert [s.quantity for s in strap("1714920602.679514,90,")[0]] == ["heart_rate"]


def test_rate_and_interval_may_disagree() -> None:
    """Rate and interval may disagree with ectopic beats, and neither is corrected."""
    samples, _ = strap("1714920600.436237,90,421")

    assert [s.value for s in samples] == [90.0, 421.0]


def test_rate_zero_is_off_the_body() -> None:
    """A rate of 0 means that the strap has no skin contact."""
    assert strap("1.0,0,")[0] == [Sample(1000, "heart_rate", None, SampleFault.OFF_BODY)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("5.0,90", Reason.UNREADABLE),
        ("x,90,800", Reason.BAD_TIME),
        ("-5,90,800", Reason.BAD_TIME),
        ("1.0,90,800", Reason.NOT_ASCENDING),
        ("5.0,,", Reason.NO_VALUE),
        ("5.0,ninety,800", Reason.BAD_NUMBER),
        ("5.0,90,0", Reason.BAD_NUMBER),
    ],
)
def test_bad_row_of_a_strap_is_counted(text: str, reason: Reason) -> None:
    """A bad row is counted and does not end the reading."""
    samples, tally = strap("4.0,60,", text, "", "6.0,61,")

    assert [s.value for s in samples] == [60.0, 61.0]
    assert tally.bad == {reason: 1}


def test_recording_of_a_strap_is_known_by_its_heading() -> None:
    """A recording is recognised by its three columns in their order."""
    assert polar_h10.matches("x.csv", HEADING)
    assert not polar_h10.matches("x.csv", "epoch_s,rr_ms\n")
