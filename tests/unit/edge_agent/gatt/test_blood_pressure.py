"""Blood pressure monitors."""

import msgspec
import pytest

from edge_agent.gatt import blood_pressure
from edge_agent.gatt.blood_pressure import BloodPressureMeasurement, BloodPressureUnit
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber, decimal_of
from edge_agent.gatt.meaning import Observation, Refused
from wire.quantities import Code
from wire.refusals import Refusal

_MEASUREMENT = BloodPressureMeasurement(systolic=120, diastolic=80, mean=93)
_PRESSURES = (
    Code.BLOOD_PRESSURE_SYSTOLIC,
    Code.BLOOD_PRESSURE_DIASTOLIC,
    Code.BLOOD_PRESSURE_MEAN,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("00 7800 5000 5d00", _MEASUREMENT, id="nothing but pressures"),
        pytest.param(
            "1d a0f0 6bf0 ff07 3c00 ff 2400",
            BloodPressureMeasurement(
                systolic=16,
                diastolic=decimal_of(10.7),
                mean=NotANumber.NAN,
                unit=BloodPressureUnit.KPA,
                pulse_bpm=60,
                user=blood_pressure.USER_UNKNOWN,
                status=1 << 2 | 1 << 5,
            ),
            id="kPa, pulse, unknown user, status",
        ),
    ],
)
def test_decode_golden_value(value: str, expected: BloodPressureMeasurement) -> None:
    """Hand-written values from the specification decode field by field."""
    assert blood_pressure.decode(bytes.fromhex(value)) == expected


def test_pressures_in_kpa_are_converted() -> None:
    """16.0 kPa are converted to 120.0 mmHg."""
    measurement = BloodPressureMeasurement(
        systolic=16,
        diastolic=decimal_of(10.7),
        mean=decimal_of(12.4),
        unit=BloodPressureUnit.KPA,
        pulse_bpm=60,
    )
    assert blood_pressure.observations(measurement) == [
        Observation(Code.BLOOD_PRESSURE_SYSTOLIC, 1200),
        Observation(Code.BLOOD_PRESSURE_DIASTOLIC, 803),
        Observation(Code.BLOOD_PRESSURE_MEAN, 930),
        Observation(Code.PULSE_RATE, 60),
    ]


def test_mean_that_is_nan_is_refused_alone() -> None:
    """A mean pressure of NaN is refused alone, because many monitors do not compute it."""
    outcomes = blood_pressure.observations(
        msgspec.structs.replace(_MEASUREMENT, mean=NotANumber.NAN)
    )
    assert [type(outcome) for outcome in outcomes] == [Observation, Observation, Refused]
    assert outcomes[2] == Refused(Code.BLOOD_PRESSURE_MEAN, Refusal.NO_VALUE)


def test_systolic_not_above_diastolic_is_implausible() -> None:
    """If the systolic pressure is not above the diastolic one, all pressures are refused."""
    crossed = msgspec.structs.replace(_MEASUREMENT, systolic=80.0, diastolic=80.0)
    assert blood_pressure.observations(crossed) == [
        Refused(code, Refusal.IMPLAUSIBLE) for code in _PRESSURES
    ]


@pytest.mark.parametrize("bit", range(16))
def test_pulse_out_of_the_range_of_the_monitor_is_saturated(bit: int) -> None:
    """Two status bits refuse the pulse alone, and no pressure."""
    measurement = msgspec.structs.replace(_MEASUREMENT, pulse_bpm=60.0, status=1 << bit)
    *pressures, pulse = blood_pressure.observations(measurement)
    saturated = Refused(Code.PULSE_RATE, Refusal.SATURATED)
    assert (pulse == saturated) == (bit in (3, 4))
    assert [type(outcome) for outcome in pressures] == [Observation] * 3


def test_unset_clock_refuses_all() -> None:
    """A timestamp of an unset clock refuses the measurement, because it may be stored."""
    stamp = DateTime(None, 4, 17, 20, 41, 59)
    measurement = msgspec.structs.replace(_MEASUREMENT, timestamp=stamp, pulse_bpm=60.0)
    outcomes = blood_pressure.observations(measurement)
    assert outcomes == [Refused(code, Refusal.UNDATED) for code in (*_PRESSURES, Code.PULSE_RATE)]
