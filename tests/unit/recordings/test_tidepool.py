"""Tidepool exports."""

import json
from typing import Any

import pytest

from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from recordings.vendors import tidepool


def export(*data: Any) -> tuple[list[Sample], ParseTally]:
    """Return what an export of *data* holds."""
    tally = ParseTally()
    return tidepool.parse([json.dumps(data).encode()], tally), tally


def cbg(value: Any, units: Any = "mmol/L", **more: Any) -> dict[str, Any]:
    """Return a value of a sensor."""
    return {"type": "cbg", "units": units, "value": value, "time": "2025-06-15T15:06:40.000Z",
            "deviceTime": "2025-06-15T17:06:40", "uploadId": "u", **more}  # fmt: skip


def test_values_are_read_in_their_unit() -> None:
    """The instant counts, not the device's local time beside it."""
    samples, tally = export(
        cbg(5.5507), {**cbg(117, "mg/dL"), "type": "smbg"}, {"type": "basal", "rate": 1}
    )

    assert samples == [
        Sample(1_750_000_000_000, "glucose_interstitial", 5.5507),
        Sample(1_750_000_000_000, "glucose_capillary", 6.4944),
    ]
    assert (tally.rows, tally.passed_over, tally.bad) == (2, 1, {})
    assert (tally.unit, tally.zone) == ("mmol/L, mg/dL", "UTC")


@pytest.mark.parametrize("is_text", [False, True])
def test_value_beyond_the_range_is_none(is_text: bool) -> None:
    """It stands at the limit, and the annotation says so, as JSON or as text."""
    notes = [{"code": "bg/out-of-range", "value": "low", "threshold": 40}]
    [sample], _ = export(cbg(2.2, annotations=json.dumps(notes) if is_text else notes))

    assert sample.fault is SampleFault.SATURATED


@pytest.mark.parametrize(
    ("datum", "reason"),
    [
        (cbg(5.5, None), Reason.UNIT_NOT_SAID),
        (cbg(5.5, "g/L"), Reason.UNIT_NOT_SAID),
        (cbg(None), Reason.NO_VALUE),
        (cbg("5.5"), Reason.BAD_NUMBER),
        (cbg(117), Reason.IMPLAUSIBLE),
        (cbg(5.5, "mg/dL"), Reason.IMPLAUSIBLE),
        ({**cbg(5.5), "time": "2025-06-15T17:06:40"}, Reason.BAD_TIME),
        ({**cbg(5.5), "time": "2025-02-30T17:06:40Z"}, Reason.BAD_TIME),
    ],
)
def test_bad_datum_is_counted(datum: dict[str, Any], reason: Reason) -> None:
    """Without a unit, a zone or a number there is no reading."""
    samples, tally = export(datum)

    assert samples == []
    assert tally.bad == {reason: 1}


def test_export_is_known_by_type_and_upload() -> None:
    """An array with types of its own is none."""
    assert tidepool.matches("x.json", json.dumps([cbg(5.5)]))
    assert not tidepool.matches("x.json", json.dumps([{"type": "cbg", "value": 5}]))
    assert not tidepool.matches("x.json", json.dumps({"type": "cbg", "time": 1, "uploadId": 1}))
