"""Pulse oximeters."""

import datetime

import msgspec
import pytest

from edge_agent.gatt import pulse_oximeter
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber
from edge_agent.gatt.meaning import LIVE, Observation, Refusal, Refused, When
from edge_agent.gatt.pulse_oximeter import (
    ContinuousOximetry,
    Oximetry,
    SensorStatus,
    SpotCheck,
    Status,
)
from wire.quantities import Code

_GOOD = Oximetry(97.5, 61.0)
_STAMP = DateTime(2026, 11, 21, 18, 36, 54)
_SHOWN = When(
    sensor_time=datetime.datetime(2026, 11, 21, 18, 36, 54)  # noqa: DTZ001 (a sensor's clock)
)


def test_decode_golden_spot_check() -> None:
    """A spot check with every field."""
    value = bytes.fromhex("1f cff3 3d00 ea07 0b 15 12 24 36 8002 200000 57f0")
    assert pulse_oximeter.decode_spot_check(value) == SpotCheck(
        oximetry=_GOOD,
        timestamp=_STAMP,
        status=Status.VALIDATED | Status.FROM_STORAGE,
        sensor_status=SensorStatus.LOW_PERFUSION,
        pulse_amplitude_percent=8.7,
        clock_not_set=True,
    )


def test_decode_golden_continuous() -> None:
    """The fast averaging, and none of the others; NaN for a pulse that is not there."""
    value = bytes.fromhex("01 6200 ff07 6100 4d00")
    assert pulse_oximeter.decode_continuous(value) == ContinuousOximetry(
        normal=Oximetry(98.0, NotANumber.NAN), fast=Oximetry(97.0, 77.0)
    )


def test_saturation_and_pulse_are_observed() -> None:
    """Both of the normal averaging, dated when they were sent."""
    measurement = ContinuousOximetry(normal=_GOOD, fast=Oximetry(90.0, 150.0))
    assert pulse_oximeter.observations(measurement) == [
        Observation(Code.SPO2, 975),
        Observation(Code.PULSE_RATE, 61),
    ]


def test_no_pulse_without_a_saturation() -> None:
    """127 % and 255 beats are what some oximeters send without a finger."""
    measurement = ContinuousOximetry(normal=Oximetry(127.0, 255.0))
    assert pulse_oximeter.observations(measurement) == [
        Refused(Code.SPO2, Refusal.IMPLAUSIBLE),
        Refused(Code.PULSE_RATE, Refusal.IMPLAUSIBLE),
    ]


def test_pulse_that_is_missing_spoils_no_saturation() -> None:
    """The saturation is judged by itself."""
    outcomes = pulse_oximeter.observations(ContinuousOximetry(normal=Oximetry(98.0, 0.0)))
    assert outcomes == [
        Observation(Code.SPO2, 980),
        Refused(Code.PULSE_RATE, Refusal.IMPLAUSIBLE),
    ]


@pytest.mark.parametrize(
    ("status", "sensor_status", "reason"),
    [
        (Status.DEMONSTRATION, 0, Refusal.DEMONSTRATION),
        (Status.TESTING, 0, Refusal.DEMONSTRATION),
        (Status.UNAVAILABLE, 0, Refusal.NO_VALUE),
        (Status.QUESTIONABLE, 0, Refusal.POOR_SIGNAL),
        (Status.INVALID, 0, Refusal.POOR_SIGNAL),
        (Status.EARLY_ESTIMATE, 0, Refusal.WARM_UP),
        (Status.CALIBRATION_ONGOING, 0, Refusal.WARM_UP),
        (Status.ONGOING | Status.VALIDATED | Status.FULLY_QUALIFIED | 0x1F, 0, None),
        (0, SensorStatus.UNCONNECTED_TO_USER, Refusal.OFF_BODY),
        (0, SensorStatus.DISPLACED, Refusal.OFF_BODY),
        (0, SensorStatus.EQUIPMENT_MALFUNCTION, Refusal.SENSOR_FAULT),
        (0, SensorStatus.DISCONNECTED, Refusal.SENSOR_FAULT),
        (0, SensorStatus.ERRATIC_SIGNAL, Refusal.POOR_SIGNAL),
        (0, SensorStatus.LOW_PERFUSION | SensorStatus.ANALYSIS_ONGOING | 0xFF0000, None),
    ],
)
def test_status_that_spoils_the_measurement_refuses_it(
    status: int, sensor_status: int, reason: Refusal | None
) -> None:
    """What the oximeter doubts, we do not store; reserved bits say nothing."""
    measurement = ContinuousOximetry(normal=_GOOD, status=status, sensor_status=sensor_status)
    outcomes = pulse_oximeter.observations(measurement)
    assert [o.reason if isinstance(o, Refused) else None for o in outcomes] == [reason] * 2


@pytest.mark.parametrize(
    ("status", "when"),
    [
        pytest.param(None, None, id="live or stored, nobody knows"),
        pytest.param(int(Status.FROM_STORAGE), None, id="stored"),
        pytest.param(int(Status.ONGOING), LIVE, id="live"),
    ],
)
def test_unset_clock_refuses_what_may_be_stored(status: int | None, when: When | None) -> None:
    """A live measurement needs no clock of its own; a stored one has no other."""
    spot = SpotCheck(oximetry=_GOOD, timestamp=_STAMP, status=status, clock_not_set=True)
    outcomes = pulse_oximeter.observations(spot)
    if when is None:
        assert outcomes[0] == Refused(Code.SPO2, Refusal.UNDATED)
    else:
        assert outcomes[0] == Observation(Code.SPO2, 975, when)


def test_spot_check_is_dated_by_its_timestamp() -> None:
    """With one, by the oximeter's clock; without, when it was sent."""
    spot = SpotCheck(oximetry=_GOOD, timestamp=_STAMP)
    assert pulse_oximeter.observations(spot)[0] == Observation(Code.SPO2, 975, _SHOWN)
    bare = msgspec.structs.replace(spot, timestamp=None)
    assert pulse_oximeter.observations(bare)[0] == Observation(Code.SPO2, 975)
