"""The registry of characteristics that the agent reads."""

import pytest

from edge_agent.gatt import (
    blood_pressure,
    cgm,
    glucose,
    heart_rate,
    pulse_oximeter,
    thermometer,
    weight,
)
from edge_agent.gatt.errors import BadCrc, DecodeError, ReservedValue, TrailingBytes, Truncated
from edge_agent.gatt.meaning import Observation, Refused
from edge_agent.gatt.quirks import CrcKind, Quirks
from edge_agent.gatt.registry import BY_UUID, CHARACTERISTICS, observations, uuid_of
from wire.quantities import Code
from wire.refusals import Refusal

_DATE = "ea07 0b 15 12 24 36"


def test_uuid_is_written_as_bluetooth_stacks_write_it() -> None:
    """A UUID is in lower case, on the base of the 16-bit assigned numbers."""
    assert uuid_of(0x2A37) == "00002a37-0000-1000-8000-00805f9b34fb"
    assert BY_UUID[uuid_of(0x2A37)].name == "heart_rate_measurement"


def test_each_characteristic_has_a_number_and_a_name_of_its_own() -> None:
    """Each characteristic has a unique number and name, because names are labels of metrics."""
    names = {characteristic.name for characteristic in CHARACTERISTICS.values()}
    assert len(names) == len(CHARACTERISTICS) == len(BY_UUID) == 23


def test_quirks_reach_the_decoders_that_need_them() -> None:
    """
    A quirk reaches its decoder: a checksum is wrong by the specification and right by
    the quirk.
    """
    quirks = Quirks(e2e_crc=True, crc=CrcKind.CCITT_FALSE)
    record = cgm.CgmRecord(concentration_mg_dl=108, time_offset_min=5)
    measurement = cgm.CgmMeasurement((record,))
    value, characteristic = cgm.encode(measurement, quirks), CHARACTERISTICS[0x2AA7]
    assert characteristic.decode(value, quirks) == measurement
    with pytest.raises(BadCrc):
        characteristic.decode(value)


@pytest.mark.parametrize(
    ("number", "value", "quantities"),
    [
        (0x2A37, "00 48", [Code.HEART_RATE]),
        (0x2A18, f"02 0700 {_DATE} 6cb0 11", [Code.GLUCOSE_CAPILLARY]),
        (0x2AA7, "06 00 6c00 0500", [Code.GLUCOSE_INTERSTITIAL]),
        (0x2A5E, "00 6200 4e00", [Code.SPO2, Code.PULSE_RATE]),
        (0x2A5F, "00 6200 4e00", [Code.SPO2, Code.PULSE_RATE]),
        (
            0x2A35,
            "00 7800 5000 5d00",
            [
                Code.BLOOD_PRESSURE_SYSTOLIC,
                Code.BLOOD_PRESSURE_DIASTOLIC,
                Code.BLOOD_PRESSURE_MEAN,
            ],
        ),
        (0x2A1C, "00 6c0100ff", [Code.BODY_TEMPERATURE]),
        (0x2A9D, "00 b036", [Code.BODY_WEIGHT]),
        (0x2A19, "64", [Code.BATTERY_LEVEL]),
        (0x2A38, "01", []),
    ],
)
def test_measurement_of_each_kind_is_observed(
    number: int, value: str, quantities: list[Code]
) -> None:
    """Measurements of every kind give their quantities; those without health data give none."""
    outcomes = observations(CHARACTERISTICS[number].decode(bytes.fromhex(value)))
    assert [o.quantity for o in outcomes if isinstance(o, Observation)] == quantities
    assert len(outcomes) == len(quantities)


def test_quirks_reach_the_judgement() -> None:
    """Quirks of a strap and a meter reach the judgement of their values."""
    lost = heart_rate.HeartRateMeasurement(74, False)
    assert isinstance(observations(lost, Quirks(contact_unreliable=True))[0], Observation)
    record = CHARACTERISTICS[0x2A18].decode(bytes.fromhex(f"02 0700 {_DATE} 6cb0 11"))
    assert observations(record, Quirks(holds_ketones=True)) == [
        Refused(Code.GLUCOSE_CAPILLARY, Refusal.UNKNOWN_ANALYTE)
    ]


@pytest.mark.parametrize(
    "decode",
    [
        glucose.decode,
        blood_pressure.decode,
        thermometer.decode,
        weight.decode,
        pulse_oximeter.decode_spot_check,
        pulse_oximeter.decode_continuous,
        heart_rate.decode,
    ],
)
def test_bytes_of_a_later_version_are_ignored(decode: object) -> None:
    """Where flags announce the fields, bytes that a later version appends are ignored."""
    value = bytes.fromhex(f"00 0700 {_DATE}")
    assert callable(decode)
    assert decode(value) == decode(value + b"\x00")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Truncated(expected=2, got=1), "truncated"),
        (TrailingBytes(expected=2, got=3), "trailing_bytes"),
        (ReservedValue("op code"), "reserved_value"),
        (BadCrc(), "bad_crc"),
    ],
)
def test_errors_tell_lengths_and_fields_and_never_values(error: DecodeError, reason: str) -> None:
    """Errors contain lengths and names of fields, and never a byte of the value."""
    assert error.reason == reason
    assert str(error)
    assert "72" not in str(error)
