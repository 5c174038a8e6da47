"""Weight scales."""

import datetime

import pytest

from edge_agent.gatt import weight
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.meaning import Observation, Refused, When
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
