"""Every characteristic that the agent reads: its UUID, its name, its decoder."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from edge_agent.gatt import (
    battery,
    blood_pressure,
    cgm,
    cgm_control,
    cgm_session,
    date_time,
    glucose,
    glucose_context,
    heart_rate,
    pulse_oximeter,
    racp,
    thermometer,
    weight,
)
from edge_agent.gatt.meaning import Outcome
from edge_agent.gatt.octets import Value
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks

Decoder = Callable[[Value, Quirks], msgspec.Struct]

_BASE_UUID: Final = "0000{:04x}-0000-1000-8000-00805f9b34fb"


class Characteristic(msgspec.Struct, frozen=True):
    """A GATT characteristic that the agent reads or subscribes to."""

    number: int
    """The 16-bit number that the Bluetooth SIG assigned."""
    name: str
    """One of a closed set: it is a label of metrics."""
    decoder: Decoder

    @property
    def uuid(self) -> str:
        """The UUID as Bluetooth stacks write it."""
        return uuid_of(self.number)

    def decode(self, value: Value, quirks: Quirks = NO_QUIRKS) -> msgspec.Struct:
        """
        Return the measurement in *value*.

        Raises:
            DecodeError: The bytes are not a value of this characteristic.
        """
        return self.decoder(value, quirks)


def uuid_of(number: int) -> str:
    """Return the UUID of a 16-bit assigned *number*, as Bluetooth stacks write it."""
    return _BASE_UUID.format(number)


def _plain(decode: Callable[[Value], msgspec.Struct]) -> Decoder:
    """Adapt a decoder that takes no quirks to the type `Decoder`."""
    return lambda value, _quirks: decode(value)


_ALL: Final = (
    Characteristic(0x2A08, "date_time", _plain(date_time.decode)),
    Characteristic(0x2A0E, "time_zone", _plain(date_time.decode_zone)),
    Characteristic(0x2A0F, "local_time_information", _plain(date_time.decode_local_time)),
    Characteristic(0x2A14, "reference_time_information", _plain(date_time.decode_reference_time)),
    Characteristic(0x2A18, "glucose_measurement", _plain(glucose.decode)),
    Characteristic(0x2A19, "battery_level", _plain(battery.decode)),
    Characteristic(0x2A1C, "temperature_measurement", _plain(thermometer.decode)),
    Characteristic(0x2A2B, "current_time", _plain(date_time.decode_current_time)),
    Characteristic(0x2A34, "glucose_measurement_context", _plain(glucose_context.decode)),
    Characteristic(0x2A35, "blood_pressure_measurement", _plain(blood_pressure.decode)),
    Characteristic(0x2A37, "heart_rate_measurement", _plain(heart_rate.decode)),
    Characteristic(0x2A38, "body_sensor_location", _plain(heart_rate.decode_location)),
    Characteristic(0x2A51, "glucose_feature", _plain(glucose.decode_features)),
    Characteristic(0x2A52, "record_access_control_point", _plain(racp.decode_response)),
    Characteristic(0x2A5E, "plx_spot_check", _plain(pulse_oximeter.decode_spot_check)),
    Characteristic(0x2A5F, "plx_continuous", _plain(pulse_oximeter.decode_continuous)),
    Characteristic(0x2A9D, "weight_measurement", _plain(weight.decode)),
    Characteristic(0x2AA7, "cgm_measurement", cgm.decode),
    Characteristic(0x2AA8, "cgm_feature", cgm_session.decode_feature),
    Characteristic(0x2AA9, "cgm_status", cgm_session.decode_status),
    Characteristic(0x2AAA, "cgm_session_start_time", cgm_session.decode_start),
    Characteristic(0x2AAB, "cgm_session_run_time", cgm_session.decode_run_time),
    Characteristic(0x2AAC, "cgm_specific_ops_control_point", cgm_control.decode),
)

CHARACTERISTICS: Mapping[int, Characteristic] = MappingProxyType({c.number: c for c in _ALL})
"""Every characteristic, by its assigned number."""

BY_UUID: Mapping[str, Characteristic] = MappingProxyType({c.uuid: c for c in _ALL})
"""Every characteristic, by its UUID in lower case."""


def observations(measurement: msgspec.Struct, quirks: Quirks = NO_QUIRKS) -> list[Outcome]:
    """
    Return the outcomes of *measurement*, of any kind; an empty list if it is no health data.

    A glucose record is judged without a context here, so one that announces a context is refused.
    """
    outcomes: list[Outcome]
    match measurement:
        case heart_rate.HeartRateMeasurement():
            outcomes = heart_rate.observations(measurement, quirks)
        case glucose.GlucoseMeasurement():
            outcomes = glucose.observations(measurement, None, quirks)
        case cgm.CgmMeasurement():
            outcomes = cgm.observations(measurement)
        case pulse_oximeter.SpotCheck() | pulse_oximeter.ContinuousOximetry():
            outcomes = pulse_oximeter.observations(measurement)
        case blood_pressure.BloodPressureMeasurement():
            outcomes = blood_pressure.observations(measurement)
        case thermometer.TemperatureMeasurement():
            outcomes = thermometer.observations(measurement)
        case weight.WeightMeasurement():
            outcomes = weight.observations(measurement, quirks)
        case battery.BatteryLevel():
            outcomes = battery.observations(measurement)
        case _:
            outcomes = []
    return outcomes


def user_of(measurement: msgspec.Struct) -> int | None:
    """Return which of its users the sensor measured; None if it does not tell users apart."""
    match measurement:
        case blood_pressure.BloodPressureMeasurement() | weight.WeightMeasurement():
            return measurement.user
        case _:
            return None
