"""Dexcom exports."""

import pytest

from recordings.errors import FileReason, FileRefused
from recordings.options import ReadOptions
from recordings.parsing.zones import IanaZone
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from recordings.vendors import dexcom

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
    assert (tally.rows, tally.passed_over, tally.bad) == (1, 5, {})


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
        ("17\t2018-11-01 noon\tEGV\t\t\t\t\t115\t", Reason.BAD_TIME),
        ("17\t2018-11-01T00:02:05\tEGV\t\t\t\t\t11", Reason.UNREADABLE),
        (egv(2, "1") + "\t5", Reason.UNREADABLE),
        (egv(2, "700"), Reason.IMPLAUSIBLE),
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
    """Studio writes tabs, Clarity commas or semicolons; the titles are the mark."""
    assert dexcom.matches("any.txt", HEADING)
    assert dexcom.matches("any.csv", HEADING.replace("\t", ","))
    assert dexcom.matches("any.csv", HEADING.replace("\t", ";"))
    assert not dexcom.matches("any.csv", HEADING.replace("Event Subtype", "Subtype"))


def test_file_without_a_heading_is_refused() -> None:
    """Where no heading says which column is which, nothing is guessed."""
    with pytest.raises(FileRefused) as raised:
        export(egv(2, "115"), heading="nothing\n")

    assert raised.value.reason is FileReason.UNKNOWN_FORMAT


@pytest.mark.parametrize(("written", "unit"), [("mg/dl", "mg/dL"), ("MMOL/L", "mmol/L")])
def test_case_of_the_unit_does_not_matter(written: str, unit: str) -> None:
    """22 below a heading in mg/dl is a severe low, and not 22 mmol/L."""
    samples, tally = export(egv(2, "22"), heading=HEADING.replace("mg/dL", written))

    assert tally.unit == unit
    assert samples[0].value == (1.2212 if unit == "mg/dL" else 22.0)


def test_unit_that_is_not_said_is_not_guessed() -> None:
    """A heading without a unit that we know refuses the file, with its line."""
    with pytest.raises(FileRefused) as raised:
        export(egv(2, "115"), heading=HEADING.replace(" (mg/dL)", " (mg)"))

    assert (raised.value.reason, raised.value.line) == (FileReason.UNIT_NOT_SAID, 1)


def test_rate_of_change_is_no_unit_of_the_value() -> None:
    """The rate of change is in mg/dL/min also where the value is in mmol/L."""
    heading = HEADING.replace("mg/dL", "mmol/L").rstrip() + "\tGlucose Rate of Change (mg/dL/min)"
    samples, tally = export(egv(2, "6.4") + "\t1.5", heading=heading)

    assert (samples[0].value, tally.unit) == (6.4, "mmol/L")


GERMAN = (
    "Index;Zeitstempel (JJJJ-MM-TTThh:mm:ss);Ereignistyp;Ereignisuntertyp;Patienteninfo;"
    "Ger\u00e4teinfo;Quellger\u00e4te-ID;Glukosewert (mmol/l);Insulinwert (IE)"
)


def test_german_clarity_is_read() -> None:
    """Semicolons, decimal commas, EGW, Niedrig and Hoch are those of a German account."""
    rows = [f"1;2026-06-02T00:0{n};EGW;;;;iOS;{v};" for n, v in enumerate(["5,8", "Niedrig"])]
    samples, tally = export(*(r.replace(";EGW", ":00;EGW") for r in rows), heading=GERMAN)

    assert [(s.value, s.fault) for s in samples] == [(5.8, None), (None, SampleFault.SATURATED)]
    assert tally.language == "de"


def test_numbers_for_low_and_high_are_codes_where_no_word_says_it() -> None:
    """Receivers hand on 39 and 401; a file that writes Low in words writes 39 as a number."""
    codes, _ = export(egv(2, "39"), egv(7, "401"), egv(12, "40"))
    words, _ = export(egv(2, "39"), egv(7, "35", "Low"))

    assert [s.fault for s in codes] == [SampleFault.SATURATED, SampleFault.SATURATED, None]
    assert [s.fault for s in words] == [None, SampleFault.SATURATED]


def test_transmitter_tells_the_repeated_hour_apart() -> None:
    """Sorted by the wall, two passes of an hour mix; the transmitter's clock puts them right."""
    heading = HEADING.rstrip() + "\tTransmitter Time (Long Integer)\tTransmitter ID"
    walls = [(f"2024-10-27T02:{minute:02}:00", clock) for minute, clock in
             [(0, 100), (2, 3702), (5, 400), (7, 4002)]]  # fmt: skip
    rows = [f"1\t{wall}\tEGV\t\t\t\t\t115\t\t{clock}\t8X" for wall, clock in walls]
    rows.insert(0, "1\t2024-10-27T01:55:00\tEGV\t\t\t\t\t115\t\t-200\t8X")
    tally = ParseTally()
    samples = dexcom.parse([heading, *rows], tally, ReadOptions(zone=IanaZone("Europe/Berlin")))

    assert tally.bad == {}
    assert [(s.offset_ms - samples[0].offset_ms) // 60_000 for s in samples] == [0, 5, 10, 67, 72]
