"""Polar RR intervals."""

import pytest

from simulators.recordings import polar_rr
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally, Reason

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
    assert tally == ParseTally(rows=2, passed_over=6)


def test_plain_file_has_no_sections() -> None:
    """A file that starts with a number has intervals from its first line."""
    tally = ParseTally()
    samples = list(polar_rr.parse(["1114\r\n", "1113\r\n", "\r\n"], tally))

    assert [s.offset_ms for s in samples] == [1114, 2227]
    assert tally.rows == 2


def test_interval_is_in_ms_already() -> None:
    """Intervals are in ms: 1024 is 1024 ms, and not one second in units of 1/1024 s."""
    assert next(polar_rr.parse(["1024"], ParseTally())).value == 1024.0


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
    ("name", "head", "expected"),
    [
        ("a.txt", "1114\r\n1113\r\n", True),
        ("a.txt", "1114\r\nhello\r\nx\r\n", False),
        ("a.txt", "", False),
        ("a.txt", "\r\n\r\n", False),
        ("a.csv", "1114\r\n1113\r\n", False),
    ],
)
def test_text_is_known_by_its_numbers(name: str, head: str, expected: bool) -> None:
    """A text file with only whole numbers holds intervals."""
    assert polar_rr.matches(name, head) is expected
