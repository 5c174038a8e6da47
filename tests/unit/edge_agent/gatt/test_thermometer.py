"""Thermometers."""

import datetime

import pytest

from edge_agent.gatt import thermometer
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber, decimal_of
from edge_agent.gatt.meaning import Observation, When
from edge_agent.gatt.thermometer import Site, TemperatureMeasurement
from wire.quantities import Code

_STAMP = DateTime(2026, 11, 21, 18, 36, 54)
_SHOWN = When(
    sensor_time=datetime.datetime(2026, 11, 21, 18, 36, 54)  # noqa: DTZ001 (a sensor's clock)
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            "00 6c0100ff",
            TemperatureMeasurement(temperature=decimal_of(36.4)),
            id="nothing but Celsius",
        ),
        pytest.param(
            "07 d90300ff ea07 0b 15 12 24 36 09",
            TemperatureMeasurement(
                temperature=decimal_of(98.5),
                unit=thermometer.TemperatureUnit.FAHRENHEIT,
                timestamp=_STAMP,
                site=Site.TYMPANUM,
            ),
            id="Fahrenheit, date, site",
        ),
        pytest.param(
            "04 ffff7f00 00",
            TemperatureMeasurement(temperature=NotANumber.NAN, site=0),
            id="NaN, reserved site",
        ),
    ],
)
def test_temperature_golden_value(value: str, expected: TemperatureMeasurement) -> None:
    """Hand-written values from the specification decode field by field."""
    assert thermometer.decode(bytes.fromhex(value)) == expected


def test_temperature_is_observed_in_celsius() -> None:
    """98.6 °F are converted to 37.00 °C."""
    fahrenheit = TemperatureMeasurement(
        temperature=decimal_of(98.6), unit=thermometer.TemperatureUnit.FAHRENHEIT, timestamp=_STAMP
    )
    assert thermometer.observations(fahrenheit) == [
        Observation(Code.BODY_TEMPERATURE, 3700, _SHOWN)
    ]
    assert thermometer.observations(TemperatureMeasurement(temperature=decimal_of(36.97))) == [
        Observation(Code.BODY_TEMPERATURE, 3697)
    ]
