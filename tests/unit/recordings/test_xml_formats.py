"""Apple Health and TCX, and the XML below both."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.errors import FileReason, FileRefused
from recordings.options import ReadOptions
from recordings.parsing.xml_stream import events
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from recordings.vendors import apple_health, tcx

DOCTYPE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!ELEMENT HealthData (ExportDate,Me,Record*)>
<!ATTLIST HealthData locale CDATA #REQUIRED>
]>
"""


def record(kind: str, value: str, unit: str, time: str = "2025-06-15 17:06:40 +0200") -> str:
    """Return a record of Apple Health."""
    return (
        f'<Record type="HKQuantityTypeIdentifier{kind}" sourceName="A" unit="{unit}"'
        f' startDate="{time}" endDate="{time}" value="{value}"><MetadataEntry key="k"'
        ' value="v"/></Record>'
    )


def health(
    *records: str, options: ReadOptions | None = None, size: int = 1000
) -> tuple[list[Sample], ParseTally]:
    """Return what an export with *records* holds."""
    tally = ParseTally()
    whole = f'{DOCTYPE}<HealthData locale="en_US">{"".join(records)}</HealthData>'.encode()
    chunks = (whole[n : n + size] for n in range(0, len(whole), size))
    return apple_health.parse(chunks, tally, options or ReadOptions()), tally


@pytest.mark.parametrize(
    ("text", "quantity", "value"),
    [
        (record("HeartRate", "61", "count/min"), "heart_rate", 61.0),
        (record("OxygenSaturation", "0.97", "%"), "spo2", 97.0),
        (record("BodyTemperature", "98.6", "degF"), "body_temperature", 37.0),
        (record("BodyTemperature", "37", "degC"), "body_temperature", 37.0),
        (record("BodyMass", "154", "lb"), "body_weight", 69.8532),
        (record("BodyMass", "70000", "g"), "body_weight", 70.0),
        (record("BloodPressureSystolic", "120", "mmHg"), "blood_pressure_systolic", 120.0),
    ],
)
def test_unit_of_a_record_is_converted(text: str, quantity: str, value: float) -> None:
    """Each record names its unit; the time has an offset."""
    samples, _ = health(text)

    assert samples == [Sample(1_750_000_000_000, quantity, value)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_other_records_are_passed_over(size: int) -> None:
    """Steps and sleep are counted, and not read; wherever a chunk ends."""
    samples, tally = health(
        record("StepCount", "12", "count"), record("HeartRate", "61", "count/min"), size=size
    )

    assert len(samples) == 1
    assert (tally.rows, tally.passed_over, tally.zone) == (1, 1, "UTC")


@pytest.mark.parametrize("unit", ["mg/dL", "mmol&lt;180.1558800000541&gt;/L"])
def test_glucose_needs_its_specimen(unit: str) -> None:
    """Apple says glucose only; a finger stick and a sensor are two quantities."""
    text = record("BloodGlucose", "18" if unit == "mg/dL" else "5.5", unit)
    refused, tally = health(text)
    read, _ = health(text, options=ReadOptions(glucose="glucose_capillary"))

    assert (refused, tally.bad) == ([], {Reason.SPECIMEN_NOT_SAID: 1})
    assert [s.quantity for s in read] == ["glucose_capillary"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (record("HeartRate", "61", "bpm"), Reason.UNIT_NOT_SAID),
        (record("BloodGlucose", "100", "g/L"), Reason.UNIT_NOT_SAID),
        (record("HeartRate", "", "count/min"), Reason.BAD_NUMBER),
        (record("HeartRate", "1e2", "count/min"), Reason.BAD_NUMBER),
        (record("HeartRate", "900", "count/min"), Reason.IMPLAUSIBLE),
        (record("OxygenSaturation", "97", "%"), Reason.IMPLAUSIBLE),
        (record("HeartRate", "61", "count/min", "2025-06-15 17:06:40"), Reason.BAD_TIME),
    ],
)
def test_bad_record_is_counted(text: str, reason: Reason) -> None:
    """No record ends the reading, and its line is told."""
    samples, tally = health(text, record("HeartRate", "61", "count/min"))

    assert len(samples) == 1
    assert (tally.bad, tally.first_lines) == ({reason: 1}, {reason: 6})


def point(time: str, rate: str | None) -> str:
    """Return a track point of a training."""
    heart = f"<HeartRateBpm><Value>{rate}</Value></HeartRateBpm>" if rate is not None else ""
    return f"<Trackpoint><Time>{time}</Time><Cadence>80</Cadence>{heart}</Trackpoint>"


def training(*points: str) -> tuple[list[Sample], ParseTally]:
    """Return what a training with *points* holds."""
    tally = ParseTally()
    whole = (
        '<?xml version="1.0"?><TrainingCenterDatabase xmlns="x"><Activities><Activity>'
        "<Id>2025-06-15T15:00:00Z</Id><Lap><AverageHeartRateBpm><Value>99</Value>"
        f"</AverageHeartRateBpm><Track>{''.join(points)}</Track></Lap></Activity></Activities>"
        "</TrainingCenterDatabase>"
    )
    return tcx.parse([whole.encode()], tally), tally


def test_heart_rates_of_track_points_are_read() -> None:
    """The average of a lap is no reading, and 0 is a strap without contact."""
    samples, tally = training(
        point("2025-06-15T15:06:41.000Z", "0"),
        point("2025-06-15T15:06:40.000Z", "61"),
        point("2025-06-15T15:06:42.000Z", None),
    )

    assert samples == [
        Sample(1_750_000_000_000, "heart_rate", 61.0),
        Sample(1_750_000_001_000, "heart_rate", None, SampleFault.OFF_BODY),
    ]
    assert (tally.rows, tally.passed_over, tally.bad) == (2, 1, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (point("2025-06-15T15:06:40", "61"), Reason.BAD_TIME),
        (point("2025-06-15T15:06:40Z", "fast"), Reason.BAD_NUMBER),
    ],
)
def test_bad_track_point_is_counted(text: str, reason: Reason) -> None:
    """A local time without an offset is no instant."""
    assert training(text)[1].bad == {reason: 1}


LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>'
    "<HealthData>&lol1;</HealthData>"
)
OUTSIDE = (
    '<!DOCTYPE foo [<!ENTITY xxe SYSTEM "file:///etc/passwd">]><HealthData>&xxe;</HealthData>'
)
PARAMETER = '<!DOCTYPE foo [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]><HealthData/>'


@pytest.mark.parametrize("parse", [apple_health.parse, tcx.parse])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(LAUGHS, id="billion laughs"),
        pytest.param(OUTSIDE, id="a file of this machine"),
        pytest.param(PARAMETER, id="parameter entity"),
        pytest.param('<!DOCTYPE foo SYSTEM "x.dtd"><a>&undeclared;</a>', id="undeclared"),
        pytest.param("<a>" * 100 + "</a>" * 100, id="nested"),
        pytest.param("<a><b></a>", id="not well-formed"),
        pytest.param("", id="empty"),
    ],
)
def test_hostile_xml_is_refused(parse: Callable[..., list[Sample]], content: str) -> None:
    """No entity is expanded, nothing is fetched, and depth is bounded."""
    with pytest.raises(FileRefused) as raised:
        parse([content.encode()], ParseTally())

    assert raised.value.reason is FileReason.MALFORMED


def test_attribute_without_end_is_refused_before_it_fills_memory() -> None:
    """A token of a gigabyte is refused after a megabyte."""
    taken = 0

    def gigabyte() -> Iterator[bytes]:
        nonlocal taken
        yield b'<HealthData><Record value="'
        while taken < 1 << 30:
            taken += 65_536
            yield b"1" * 65_536

    with pytest.raises(FileRefused) as raised:
        list(events(gigabyte()))

    assert raised.value.reason is FileReason.LINE_TOO_LONG
    assert taken <= 2 << 20


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise_anything_else_than_a_refusal(content: bytes) -> None:
    """Any bytes are XML, or refused."""
    try:
        list(events([content]))
    except FileRefused:
        pass
