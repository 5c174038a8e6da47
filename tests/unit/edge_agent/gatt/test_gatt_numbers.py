"""The numbers that the specifications assign: a mistake here would misname a sensor's value."""

import enum

import pytest

from edge_agent.gatt import (
    blood_pressure,
    cgm,
    cgm_control,
    cgm_session,
    glucose,
    glucose_context,
    heart_rate,
    pulse_oximeter,
    racp,
    specimen,
    thermometer,
)
from edge_agent.gatt.registry import CHARACTERISTICS


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (heart_rate.Location, range(7)),
        (specimen.SampleType, range(1, 11)),
        (specimen.SampleLocation, (1, 2, 3, 4, 5, 15)),
        (glucose_context.Meal, range(1, 7)),
        (racp.RacpOpCode, range(1, 9)),
        (racp.Operator, range(7)),
        (racp.Filter, (1, 2)),
        (racp.RacpResponseCode, range(1, 11)),
        (cgm_control.CgmOpCode, range(1, 0x1D)),
        (cgm_control.CgmResponseCode, range(1, 6)),
        (thermometer.Site, range(1, 10)),
    ],
)
def test_names_stand_for_their_numbers(names: type[enum.IntEnum], numbers: range) -> None:
    """Each enumeration follows the order of its specification."""
    assert [name.value for name in names] == list(numbers)


@pytest.mark.parametrize(
    ("names", "bits"),
    [
        (glucose.GlucoseStatus, range(12)),
        (cgm.Annunciation, [*range(6), *range(8, 15), *range(16, 24)]),
        (cgm_session.Feature, [0, *range(12, 17)]),
        (pulse_oximeter.OximeterStatus, range(5, 16)),
        (pulse_oximeter.SensorStatus, range(16)),
        (blood_pressure.BloodPressureStatus, range(6)),
    ],
)
def test_names_stand_for_their_bits(names: type[enum.IntFlag], bits: range) -> None:
    """Each set of flags follows the order of its specification, without reserved bits."""
    assert [name.value for name in names] == [1 << bit for bit in bits]


def test_characteristics_have_their_assigned_numbers() -> None:
    """Characteristics have the numbers of the list of assigned numbers."""
    assert {f"{number:X}": c.name for number, c in CHARACTERISTICS.items()} == {
        "2A08": "date_time",
        "2A0E": "time_zone",
        "2A0F": "local_time_information",
        "2A14": "reference_time_information",
        "2A18": "glucose_measurement",
        "2A19": "battery_level",
        "2A1C": "temperature_measurement",
        "2A2B": "current_time",
        "2A34": "glucose_measurement_context",
        "2A35": "blood_pressure_measurement",
        "2A37": "heart_rate_measurement",
        "2A38": "body_sensor_location",
        "2A51": "glucose_feature",
        "2A52": "record_access_control_point",
        "2A5E": "plx_spot_check",
        "2A5F": "plx_continuous",
        "2A9D": "weight_measurement",
        "2AA7": "cgm_measurement",
        "2AA8": "cgm_feature",
        "2AA9": "cgm_status",
        "2AAA": "cgm_session_start_time",
        "2AAB": "cgm_session_run_time",
        "2AAC": "cgm_specific_ops_control_point",
    }
