"""Weight scales."""

import datetime

import pytest

from edge_agent.gatt import weight
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.meaning import Observation, Refused, When
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from edge_agent.gatt.weight import BodySize, WeightMeasurement
from wire.quantities import Code
from wire.refusals import Refusal

_STAMP = DateTime(2026, 11, 21, 18, 36, 54)
_SHOWN = When(
    sensor_time=datetime.datetime(2026, 11, 21, 18, 36, 54)  # noqa: DTZ001 (a sensor's clock)
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("00 b036", WeightMeasurement(weight_steps=14000), id="nothing but kg"),
        pytest.param(
            "0f 983a ea07 0b 15 12 24 36 ff eb00 b802",
            WeightMeasurement(
                weight_steps=15000,
                unit=weight.WeightUnit.LB,
                timestamp=_STAMP,
                user=weight.USER_UNKNOWN,
                body_size=BodySize(235, 696),
            ),
            id="lb, date, user, size",
        ),
        pytest.param("00 ffff", WeightMeasurement(weight_steps=None), id="unsuccessful"),
    ],
)
def test_weight_golden_value(value: str, expected: WeightMeasurement) -> None:
    """Hand-written values from the specification decode field by field."""
    assert weight.decode(bytes.fromhex(value)) == expected


def test_weight_is_observed_in_kg() -> None:
    """150 lb are converted to 68.04 kg."""
    assert weight.observations(
        WeightMeasurement(weight_steps=15000, unit=weight.WeightUnit.LB, timestamp=_STAMP)
    ) == [Observation(Code.BODY_WEIGHT, 6804, _SHOWN)]
    assert weight.observations(WeightMeasurement(weight_steps=14000)) == [
        Observation(Code.BODY_WEIGHT, 7000)
    ]


def test_weighing_that_did_not_succeed_has_no_value() -> None:
    """A weight of 65535 means an unsuccessful measurement, and not 327.675 kg."""
    assert weight.observations(WeightMeasurement(weight_steps=None)) == [
        Refused(Code.BODY_WEIGHT, Refusal.NO_VALUE)
    ]


_MARKS = Quirks(weight_stable_bit=5, weight_removed_bit=7)
_WEIGHED = Observation(Code.BODY_WEIGHT, 7000, _SHOWN)


@pytest.mark.parametrize(
    ("flags", "quirks", "expected"),
    [
        pytest.param("02", _MARKS, Refused(Code.BODY_WEIGHT, Refusal.WARM_UP), id="stepping on"),
        pytest.param("22", _MARKS, _WEIGHED, id="settled"),
        pytest.param("32", _MARKS, _WEIGHED, id="settled, in another unit of the display"),
        pytest.param("a2", _MARKS, Refused(Code.BODY_WEIGHT, Refusal.OFF_BODY), id="stepped off"),
        pytest.param("82", _MARKS, Refused(Code.BODY_WEIGHT, Refusal.OFF_BODY), id="off, at once"),
        pytest.param("02", NO_QUIRKS, _WEIGHED, id="a scale that follows the specification"),
        pytest.param("f2", NO_QUIRKS, _WEIGHED, id="what is reserved says nothing by itself"),
        pytest.param("a2", Quirks(weight_stable_bit=5), _WEIGHED, id="no bit for stepping off"),
        pytest.param("12", Quirks(weight_stable_bit=4), _WEIGHED, id="another scale, another bit"),
    ],
)
def test_a_weight_counts_once_it_has_settled(
    flags: str, quirks: Quirks, expected: Observation | Refused
) -> None:
    """A scale that marks in bits of its own what has not settled is listened to by its model."""
    value = bytes.fromhex(flags + "b036 ea07 0b 15 12 24 36")
    measurement = weight.decode(value)

    assert weight.encode(measurement) == value
    assert weight.observations(measurement, quirks) == [expected]
