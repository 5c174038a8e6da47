"""CareLink exports."""

import pytest

from recordings.errors import FileReason, FileRefused
from recordings.sample import Sample
from recordings.tally import ParseTally, Reason
from recordings.vendors import carelink

ABOVE = [
    "Last Name;First Name;Patient ID;Start Date;End Date",
    '"Doe";"J";;"2025/10/21 00:00:00";"2025/10/28 23:59:59"',
    "",
    "Patient DOB",
]
HEADING = (
    "Index;Date;Time;New Device Time;BG Source;BG Reading (mg/dL);Bolus Volume Delivered (U);"
    "Sensor Calibration BG (mg/dL);Sensor Glucose (mg/dL);ISIG Value"
)


def export(*rows: str, heading: str = HEADING) -> tuple[list[Sample], ParseTally]:
    """Return what an export with *rows* in two sections holds."""
    tally = ParseTally()
    pump = ["-------;MiniMed 780G MMT-1886;Pump;NG1;-------", heading]
    sensor = ["-------;MiniMed 780G MMT-1886;Sensor;NG1;-------", heading]
    middle = len(rows) // 2
    lines = [*ABOVE, *pump, *rows[:middle], *sensor, *rows[middle:]]
    return carelink.parse(lines, tally), tally


def test_both_kinds_of_glucose_are_read_from_all_sections() -> None:
    """Newest first, with decimal commas elsewhere; insulin and calibrations are no readings."""
    samples, tally = export(
        "1,00000;2025/10/28;06:24:38;;METER;117;;;;",
        "2,00000;2025/10/28;06:20:00;;;;11,548;;;",
        "458,0;2025/10/28;06:27:34;;;;;;113;19,01",
        "459,0;2025/10/28;06:22:34;;;;;;112;19,01",
    )

    assert [(s.quantity, s.value) for s in samples] == [
        ("glucose_interstitial", 6.2168),
        ("glucose_capillary", 6.4944),
        ("glucose_interstitial", 6.2723),
    ]
    assert (tally.rows, tally.bad, tally.date_order) == (3, {}, "year-first")


def test_mmol_with_decimal_commas_is_read() -> None:
    """The unit is that of each column's heading."""
    samples, _ = export(
        "1,0;28/10/2025;06:27:34;;;;;;6,2;19,01", heading=HEADING.replace("mg/dL", "mmol/L")
    )

    assert [s.value for s in samples] == [6.2]


def test_sections_of_two_units_are_refused() -> None:
    """A later heading with another unit is not read in the first one's."""
    lines = [*ABOVE, HEADING, HEADING.replace("mg/dL", "mmol/L")]
    with pytest.raises(FileRefused) as raised:
        carelink.parse(lines, ParseTally())

    assert (raised.value.reason, raised.value.line) == (FileReason.UNIT_NOT_SAID, 6)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1;2025/10/28;06:27:34;;;;;;113;19;01", Reason.UNREADABLE),
        ("1;2025/10/28;06:27:34;;;;;;11", Reason.UNREADABLE),
        ("1;2025/10/28;;;;;;;113;", Reason.BAD_TIME),
        ("1;2025/10/28;06:27:34;;;;;;x;", Reason.BAD_NUMBER),
        ("1;2025/10/28;06:27:34;;;;;;769;", Reason.IMPLAUSIBLE),
    ],
)
def test_bad_row_of_carelink_is_counted(row: str, reason: Reason) -> None:
    """A bad row is counted and does not end the reading."""
    samples, tally = export("2;2025/10/28;06:22:34;;;;;;113;", row)

    assert len(samples) == 1
    assert tally.bad == {reason: 1}


def test_carelink_is_known_by_its_heading() -> None:
    """The heading stands below the lines about person and device."""
    assert carelink.matches("x.csv", "\n".join([*ABOVE, HEADING]))
    assert not carelink.matches("x.csv", "\n".join(ABOVE))
