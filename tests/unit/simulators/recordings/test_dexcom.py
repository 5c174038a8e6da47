"""Dexcom exports."""

import pytest

from simulators.recordings import dexcom
from simulators.recordings.sample import Sample, SampleFault
from simulators.recordings.tally import ParseTally, Reason

HEADING = (
    "Index\tTimestamp (YYYY-MM-DDThh:mm:ss)\tEvent Type\tEvent Subtype\tPatient Info\t"
    "Device Info\tSource Device ID\tGlucose Value (mg/dL)\tInsulin Value (u)\r\n"
)


def export(*rows: str, heading: str = HEADING) -> tuple[list[Sample], ParseTally]:
    """Return the samples of an export with *rows*."""
    tally = ParseTally()
    return list(dexcom.parse([heading, *(r + "\r\n" for r in rows)], tally)), tally


def egv(minute: int, value: str, mark: str = "") -> str:
    """Return a row with a glucose value."""
    return f"17\t2018-11-01T00:{minute:02}:05\tEGV\t{mark}\t\t\t11AAAA\t{value}\t"


def test_mg_dl_become_mmol_l() -> None:
    """115 mg/dL are converted to 115 / 18.0156 mmol/L."""
    samples, _ = export(egv(2, "115"))

    assert [(s.quantity, s.value) for s in samples] == [("glucose_interstitial", 6.3834)]
    assert samples[0].offset_ms == 1_541_030_525_000


def test_unit_is_what_the_heading_says() -> None:
    """An export in mmol/L is not converted."""
    samples, _ = export(egv(2, "6.4"), heading=HEADING.replace("mg/dL", "mmol/L"))

    assert samples[0].value == 6.4


def test_who_the_person_is_is_passed_over() -> None:
    """Name, birthday, alarms and calibrations are skipped, and not counted as bad rows."""
    samples, tally = export(
        "1\t\tFirstName\t\tTest\t\t\t\t",
        "4\t\tDateOfBirth\t\t1/1/00\t\t\t\t",
        "7\t\tAlert\tHigh\t\t\t11AAAA\t140\t",
        "85\t2018-11-01T05:41:47\tCalibration\t\t\t\t11AAAA\t86\t",
        egv(2, "115"),
    )

    assert len(samples) == 1
    assert tally == ParseTally(rows=1, passed_over=5)


@pytest.mark.parametrize(
    ("value", "mark"), [("Low", ""), ("High", ""), ("35", "Low"), ("", "High")]
)
def test_end_of_the_range_is_saturated(value: str, mark: str) -> None:
    """Low and High mean saturated, even if a number is beside them."""
    samples, _ = export(egv(2, value, mark))

    assert [(s.value, s.fault) for s in samples] == [(None, SampleFault.SATURATED)]


def test_zero_is_a_fault() -> None:
    """A value of 0, which a sensor sends during warm-up, is a fault."""
    assert export(egv(2, "0"))[0][0].fault is SampleFault.SENSOR_FAULT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("17\t2018-11-01T00:02:05\tEGV", Reason.UNREADABLE),
        ('17\t"2018\tEGV\t\t\t\t\t115', Reason.UNREADABLE),
        ("17\t11/01/2018 00:02\tEGV\t\t\t\t\t115", Reason.BAD_TIME),
        (egv(2, ""), Reason.NO_VALUE),
        (egv(2, "nan"), Reason.BAD_NUMBER),
    ],
)
def test_bad_row_of_an_export_is_counted(text: str, reason: Reason) -> None:
    """A bad row is counted and does not end the reading."""
    samples, tally = export(text, "", egv(7, "115"))

    assert len(samples) == 1
    assert tally.bad == {reason: 1}
    assert tally.rows == 2


def test_export_is_known_by_its_heading() -> None:
    """An export is recognised by its tab-separated heading with subtypes and glucose."""
    assert dexcom.matches("any.txt", HEADING)
    assert not dexcom.matches("any.txt", HEADING.replace("\t", ","))


def test_file_without_a_heading_holds_nothing() -> None:
    """A file without a heading holds no samples."""
    assert export(egv(2, "115"), heading="nothing\n") == ([], ParseTally(passed_over=2))
