"""Pulse oximeters."""

import datetime

import msgspec
import pytest

from edge_agent.gatt import pulse_oximeter
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber, decimal_of
from edge_agent.gatt.meaning import LIVE, Observation, Refused, When
from edge_agent.gatt.pulse_oximeter import (
    ContinuousOximetry,
    Oximetry,
    SpotCheck,
)
from wire.quantities import Code
from wire.refusals import Refusal

_GOOD = Oximetry(decimal_of(97.5), 61)
_STAMP = DateTime(2026, 11, 21, 18, 36, 54)
_SHOWN = When(
    sensor_time=datetime.datetime(2026, 11, 21, 18, 36, 54)  # noqa: DTZ001 (a sensor's clock)
)


def _reasons(measurement: ContinuousOximetry) -> list[Refusal | None]:
    outcomes = pulse_oximeter.observations(measurement)
    return [o.reason if isinstance(o, Refused) else None for o in outcomes]


def test_decode_golden_spot_check() -> None:
    """A hand-written spot check with every field."""
    value = bytes.fromhex("1f cff3 3d00 ea07 0b 15 12 24 36 8002 200000 57f0")
    assert pulse_oximeter.decode_spot_check(value) == SpotCheck(
        oximetry=_GOOD,
        timestamp=_STAMP,
        status=1 << 7 | 1 << 9,
        sensor_status=1 << 5,
        pulse_amplitude_percent=decimal_of(8.7),
        clock_not_set=True,
    )


def test_decode_golden_continuous() -> None:
    """
    A hand-written continuous measurement with the fast averages only, and NaN for a
    missing pulse.
    """
    value = bytes.fromhex("01 6200 ff07 6100 4d00")
    assert pulse_oximeter.decode_continuous(value) == ContinuousOximetry(
        normal=Oximetry(98, NotANumber.NAN), fast=Oximetry(97, 77)
    )


def test_saturation_and_pulse_are_observed() -> None:
    """Saturation and pulse of the normal average are observed, with the time of sending."""
    measurement = ContinuousOximetry(normal=_GOOD, fast=Oximetry(90, 150))
    assert pulse_oximeter.observations(measurement) == [
        Observation(Code.SPO2, 975),
        Observation(Code.PULSE_RATE, 61),
    ]


def test_no_pulse_without_a_saturation() -> None:
    """
    Without a valid saturation there is no pulse: some oximeters send 127 % and 255 without a
    finger.
    """
    measurement = ContinuousOximetry(normal=Oximetry(127, 255))
    assert pulse_oximeter.observations(measurement) == [
        Refused(Code.SPO2, Refusal.IMPLAUSIBLE),
        Refused(Code.PULSE_RATE, Refusal.IMPLAUSIBLE),
    ]


def test_pulse_that_is_missing_spoils_no_saturation() -> None:
    """A missing pulse does not refuse the saturation."""
    outcomes = pulse_oximeter.observations(ContinuousOximetry(normal=Oximetry(98, 0)))
    assert outcomes == [
        Observation(Code.SPO2, 980),
        Refused(Code.PULSE_RATE, Refusal.IMPLAUSIBLE),
    ]


_SPOILING_STATUS = {
    **dict.fromkeys((10, 11), Refusal.DEMONSTRATION),
    13: Refusal.NO_VALUE,
    **dict.fromkeys((14, 15), Refusal.POOR_SIGNAL),
    **dict.fromkeys((6, 12), Refusal.WARM_UP),
}
_SPOILING_SENSOR_STATUS = {
    **dict.fromkeys((11, 13), Refusal.OFF_BODY),
    **dict.fromkeys((1, 12, 14, 15), Refusal.SENSOR_FAULT),
    **dict.fromkeys((2, 3, 4, 6, 7, 8, 10), Refusal.POOR_SIGNAL),
}


@pytest.mark.parametrize("bit", range(24))
def test_status_that_spoils_the_measurement_refuses_it(bit: int) -> None:
    """A status that doubts the measurement refuses it; low perfusion and reserved bits do not."""
    of_measurement = ContinuousOximetry(normal=_GOOD, status=1 << bit)
    of_sensor = ContinuousOximetry(normal=_GOOD, sensor_status=1 << bit)
    assert _reasons(of_measurement) == [_SPOILING_STATUS.get(bit)] * 2
    assert _reasons(of_sensor) == [_SPOILING_SENSOR_STATUS.get(bit)] * 2


@pytest.mark.parametrize(
    ("status", "when"),
    [
        pytest.param(None, None, id="live or stored, nobody knows"),
        pytest.param(1 << 9, None, id="stored"),
        pytest.param(1 << 5, LIVE, id="live"),
    ],
)
def test_unset_clock_refuses_what_may_be_stored(status: int | None, when: When | None) -> None:
    """
    A spot check with an unset clock is refused, because it may be stored; a live value needs no
    clock.
    """
    spot = SpotCheck(oximetry=_GOOD, timestamp=_STAMP, status=status, clock_not_set=True)
    outcomes = pulse_oximeter.observations(spot)
    if when is None:
        assert outcomes[0] == Refused(Code.SPO2, Refusal.UNDATED)
    else:
        assert outcomes[0] == Observation(Code.SPO2, 975, when)


def test_spot_check_is_dated_by_its_timestamp() -> None:
    """A spot check is dated by its timestamp, and without one when it is sent."""
    spot = SpotCheck(oximetry=_GOOD, timestamp=_STAMP)
    assert pulse_oximeter.observations(spot)[0] == Observation(Code.SPO2, 975, _SHOWN)
    bare = msgspec.structs.replace(spot, timestamp=None)
    assert pulse_oximeter.observations(bare)[0] == Observation(Code.SPO2, 975)
