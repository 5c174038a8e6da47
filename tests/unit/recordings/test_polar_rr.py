"""Polar RR intervals."""

import pytest

from recordings.sample import Sample
from recordings.tally import ParseTally, Reason
from recordings.vendors import polar_rr

HRM = (
    "[Params]\r\nVersion=106\r\nInterval=238\r\n\r\n"
    "[IntTimes]\r\n84\r\n[HRData]\r\n1589\r\n783\r\n"
)


def test_only_the_section_with_data_is_read() -> None:
    """Only the section with data is read as intervals."""
    tally = ParseTally()
    samples = list(polar_rr.parse(HRM.splitlines(keepends=True), tally))

    assert samples == [
        Sample(1589, "rr_interval", 1589.0),
        Sample(2372, "rr_interval", 783.0),
    ]
    assert (tally.rows, tally.passed_over, tally.bad) == (2, 6, {})


def test_plain_file_has_no_sections() -> None:
    """A file that starts with a number has intervals from its first line."""
    tally = ParseTally()
    samples = list(polar_rr.parse(["1114\r\n", "1113\r\n", "\r\n"], tally))

    assert [s.offset_ms for s in samples] == [1114, 2227]
    assert tally.rows == 2


def test_interval_is_in_ms_already() -> None:
    """Intervals are in ms: 1024 is 1024 ms, and not one second in units of 1/1024 s."""
    assert polar_rr.parse(["1024"], ParseTally())[0].value == 1024.0


def test_noise_is_left_in() -> None:
    """An implausible interval that a strap can send is kept, because the agent must judge it."""
    assert [s.value for s in polar_rr.parse(["12", "9000"], ParseTally())] == [12.0, 9000.0]


@pytest.mark.parametrize("text", ["0", "-800", "nan", "eight", "64001"])
def test_what_no_strap_sends_is_counted(text: str) -> None:
    """An interval of 0, below 0 or above 16 bits is counted as bad."""
    tally = ParseTally()

    assert [s.offset_ms for s in polar_rr.parse([text, "800"], tally)] == [800]
    assert tally.bad == {Reason.BAD_NUMBER: 1}


def test_hrm_is_known_by_its_interval() -> None:
    """Only Interval=238 marks beat-to-beat data; other .hrm files hold averaged rates."""
    assert polar_rr.matches("a.hrm", HRM)
    assert not polar_rr.matches("a.hrm", HRM.replace("238", "5"))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("1114\n1113\n", True),
        ("1114\nhello\nx\n", False),
        ("", False),
        ("\n\n", False),
        ("1114\n", False),
    ],
)
def test_column_of_whole_numbers_is_told(head: str, expected: bool) -> None:
    """Such a column may hold steps, weights or intervals: it is asked about, not read."""
    assert polar_rr.is_plain_column(head) is expected
    assert not polar_rr.matches("a.txt", head)
