"""Nightscout entries."""

import json
from typing import Any

import pytest

from recordings.errors import FileReason, FileRefused
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from recordings.vendors import nightscout

AT = 1_750_000_000_000


def entries(*found: Any, size: int = 10_000) -> tuple[list[Sample], ParseTally]:
    """Return what a backup with the entries *found* holds."""
    tally = ParseTally()
    whole = json.dumps(found).encode()
    chunks = (whole[n : n + size] for n in range(0, len(whole), size))
    return nightscout.parse(chunks, tally), tally


def sgv(value: Any, minute: int = 0, **more: Any) -> dict[str, Any]:
    """Return an entry of a sensor."""
    return {"type": "sgv", "date": AT + minute * 60_000, "sgv": value, **more}


@pytest.mark.parametrize("size", [20, 10_000])
def test_entries_are_mg_dl_of_a_sensor_or_a_meter(size: int) -> None:
    """Entries come newest first, and calibrations and pictures of the uploader are no readings."""
    samples, tally = entries(
        sgv(115, 5, direction="Flat"),
        sgv(99),
        {"type": "mbg", "date": AT + 60_000, "mbg": 117},
        {"type": "cal", "date": AT, "slope": 800},
        "text",
        size=size,
    )

    assert samples == [
        Sample(AT, "glucose_interstitial", 5.4952),
        Sample(AT + 60_000, "glucose_capillary", 6.4944),
        Sample(AT + 300_000, "glucose_interstitial", 6.3834),
    ]
    assert (tally.rows, tally.passed_over, tally.bad) == (3, 2, {})
    assert (tally.unit, tally.zone) == ("mg/dL", "UTC")


@pytest.mark.parametrize("code", [0, 1, 3, 5, 9, 10, 12])
def test_error_codes_are_no_values(code: int) -> None:
    """What stands below 13 mg/dL is the state of a sensor."""
    assert entries(sgv(code))[0][0].fault is SampleFault.SENSOR_FAULT


@pytest.mark.parametrize("code", [39, 401])
def test_codes_for_low_and_high_are_no_values(code: int) -> None:
    """They mean below 40 and above 400."""
    assert entries(sgv(code))[0][0].fault is SampleFault.SATURATED


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (sgv(None), Reason.NO_VALUE),
        (sgv("115"), Reason.BAD_NUMBER),
        (sgv(True), Reason.BAD_NUMBER),
        (sgv(-5), Reason.BAD_NUMBER),
        (sgv(5.5), Reason.IMPLAUSIBLE),
        (sgv(900), Reason.IMPLAUSIBLE),
        (sgv(115, units="stone"), Reason.UNIT_NOT_SAID),
        (sgv(115, units=5), Reason.UNIT_NOT_SAID),
        ({"type": "sgv", "sgv": 115}, Reason.BAD_TIME),
        ({"type": "sgv", "sgv": 115, "date": "soon"}, Reason.BAD_TIME),
        ({"type": "sgv", "sgv": 115, "date": 1e300}, Reason.BAD_TIME),
    ],
)
def test_bad_entry_is_counted(entry: dict[str, Any], reason: Reason) -> None:
    """No entry ends the reading, and none is lost silently."""
    samples, tally = entries(entry, sgv(115, 5))

    assert len(samples) == 1
    assert tally.bad == {reason: 1}
    assert tally.first_lines == {reason: 1}


def test_unit_of_an_entry_counts() -> None:
    """API v3 may name the unit: 5.5 mmol is not 5.5 mg/dL."""
    samples, tally = entries(sgv(5.5, units="mmol"), sgv(115, 5, units="mg"))

    assert [s.value for s in samples] == [5.5, 6.3834]
    assert tally.unit == "mmol/L, mg/dL"


@pytest.mark.parametrize(
    "time",
    [{"date": AT}, {"date": AT // 1000}, {"mills": AT}, {"date": "2025-06-15T15:06:40.000Z"},
     {"dateString": "2025-06-15T17:06:40+0200"}],
)  # fmt: skip
def test_notations_of_a_moment_are_known(time: dict[str, Any]) -> None:
    """ms, seconds and text name the same instant."""
    [sample], _ = entries({"type": "sgv", "sgv": 115, **time})

    assert sample.offset_ms == AT


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[" + b"[" * 200_000,
        b'[{"sgv": ' + b"1" * 5000 + b"}]",
        b'[{"sgv": "' + b"x" * 1_000_000,
        b'[{"sgv": 115} what',
        b"[",
        b"",
    ],
)
def test_malformed_json_is_refused(content: bytes) -> None:
    """Deep nesting, endless numbers and strings, and half a file are each refused as a whole."""
    with pytest.raises(FileRefused) as raised:
        nightscout.parse([content[n : n + 65_536] for n in range(0, len(content), 65_536)],
                         ParseTally())  # fmt: skip

    assert raised.value.reason is FileReason.MALFORMED


def test_array_in_an_answer_of_api_v3_is_read() -> None:
    """The answer wraps the entries in an object."""
    whole = json.dumps({"status": 200, "result": [sgv(115)]}).encode()

    assert len(nightscout.parse([whole], ParseTally())) == 1


def test_entries_are_known_by_value_and_date() -> None:
    """A profile and other JSON are none."""
    assert nightscout.matches("x.json", json.dumps([sgv(115)]))
    assert not nightscout.matches("x.json", json.dumps([{"sgv": 115}]))
    assert not nightscout.matches("x.json", json.dumps([{"defaultProfile": "a", "date": 1}]))
