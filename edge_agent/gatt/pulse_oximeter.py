"""Pulse oximeters: PLX Spot-check (0x2A5E) and Continuous Measurement (0x2A5F)."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import date_time
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import Number, to_sfloat
from edge_agent.gatt.meaning import LIVE, Outcome, Refused, When, first_of, judge
from edge_agent.gatt.octets import Octets, Value
from wire.quantities import Code
from wire.refusals import Refusal

# Pulse Oximeter Service 1.0.1, PLX Spot-check Measurement, Flags.
_TIMESTAMP: Final = 0x01
_SPOT_STATUS: Final = 0x02
_SPOT_SENSOR: Final = 0x04
_SPOT_AMPLITUDE: Final = 0x08
_CLOCK_NOT_SET: Final = 0x10
# PLX Continuous Measurement, Flags.
_FAST: Final = 0x01
_SLOW: Final = 0x02
_STATUS: Final = 0x04
_SENSOR: Final = 0x08
_AMPLITUDE: Final = 0x10


class OximeterStatus(enum.IntFlag):
    """Measurement Status: the quality of a measurement; bits 0 to 4 are reserved."""

    ONGOING = 1 << 5
    EARLY_ESTIMATE = 1 << 6
    VALIDATED = 1 << 7
    FULLY_QUALIFIED = 1 << 8
    FROM_STORAGE = 1 << 9
    DEMONSTRATION = 1 << 10
    TESTING = 1 << 11
    CALIBRATION_ONGOING = 1 << 12
    UNAVAILABLE = 1 << 13
    QUESTIONABLE = 1 << 14
    INVALID = 1 << 15


class SensorStatus(enum.IntFlag):
    """Device and Sensor Status: the condition of the oximeter; bits 16 to 23 are reserved."""

    DISPLAY_UPDATE_ONGOING = 1 << 0
    EQUIPMENT_MALFUNCTION = 1 << 1
    PROCESSING_IRREGULARITY = 1 << 2
    INADEQUATE_SIGNAL = 1 << 3
    POOR_SIGNAL = 1 << 4
    LOW_PERFUSION = 1 << 5
    ERRATIC_SIGNAL = 1 << 6
    NON_PULSATILE_SIGNAL = 1 << 7
    QUESTIONABLE_PULSE = 1 << 8
    ANALYSIS_ONGOING = 1 << 9
    INTERFERENCE = 1 << 10
    UNCONNECTED_TO_USER = 1 << 11
    UNKNOWN_SENSOR = 1 << 12
    DISPLACED = 1 << 13
    SENSOR_MALFUNCTION = 1 << 14
    DISCONNECTED = 1 << 15


# Low perfusion is not a fault: cold fingers cause it, and the number is still usable.
_SENSOR_FAULTS: Final[dict[int, Refusal]] = {
    SensorStatus.UNCONNECTED_TO_USER | SensorStatus.DISPLACED: Refusal.OFF_BODY,
    SensorStatus.EQUIPMENT_MALFUNCTION
    | SensorStatus.UNKNOWN_SENSOR
    | SensorStatus.SENSOR_MALFUNCTION
    | SensorStatus.DISCONNECTED: Refusal.SENSOR_FAULT,
    SensorStatus.PROCESSING_IRREGULARITY
    | SensorStatus.INADEQUATE_SIGNAL
    | SensorStatus.POOR_SIGNAL
    | SensorStatus.ERRATIC_SIGNAL
    | SensorStatus.NON_PULSATILE_SIGNAL
    | SensorStatus.QUESTIONABLE_PULSE
    | SensorStatus.INTERFERENCE: Refusal.POOR_SIGNAL,
}
_FAULTS: Final[dict[int, Refusal]] = {
    OximeterStatus.DEMONSTRATION | OximeterStatus.TESTING: Refusal.DEMONSTRATION,
    OximeterStatus.UNAVAILABLE: Refusal.NO_VALUE,
    OximeterStatus.QUESTIONABLE | OximeterStatus.INVALID: Refusal.POOR_SIGNAL,
    OximeterStatus.EARLY_ESTIMATE | OximeterStatus.CALIBRATION_ONGOING: Refusal.WARM_UP,
}


class Oximetry(msgspec.Struct, frozen=True):
    """An oxygen saturation, and the pulse rate of the same signal."""

    spo2_percent: Number
    pulse_bpm: Number


class SpotCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement, live or stored."""

    oximetry: Oximetry
    timestamp: DateTime | None = None
    status: int | None = None
    """Bits of `OximeterStatus`."""
    sensor_status: int | None = None
    """Bits of `SensorStatus`."""
    pulse_amplitude_percent: Number | None = None
    clock_not_set: bool = False
    """Whether the timestamp is invalid, because the clock is not set."""


class ContinuousOximetry(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement of a worn oximeter, usually one a second."""

    normal: Oximetry
    fast: Oximetry | None = None
    """Averaged over a shorter time than `normal`."""
    slow: Oximetry | None = None
    status: int | None = None
    sensor_status: int | None = None
    pulse_amplitude_percent: Number | None = None


def decode_spot_check(value: Value) -> SpotCheck:
    """
    Read a PLX Spot-check Measurement, 0x2A5E.

    Raises:
        DecodeError: A field is incomplete, or the timestamp is invalid.
    """
    octets = Octets(value)
    flags = octets.uint8()
    return SpotCheck(
        oximetry=_take(octets),
        timestamp=date_time.take(octets) if flags & _TIMESTAMP else None,
        status=octets.uint16() if flags & _SPOT_STATUS else None,
        sensor_status=octets.unsigned(3) if flags & _SPOT_SENSOR else None,
        pulse_amplitude_percent=octets.sfloat() if flags & _SPOT_AMPLITUDE else None,
        clock_not_set=bool(flags & _CLOCK_NOT_SET),
    )


def encode_spot_check(spot: SpotCheck) -> bytes:
    """Return *spot* as an oximeter sends it."""
    flags = _CLOCK_NOT_SET if spot.clock_not_set else 0
    body = _encode(spot.oximetry)
    if spot.timestamp is not None:
        flags |= _TIMESTAMP
        body += date_time.encode(spot.timestamp)
    present, tail = _encode_tail(spot)
    return bytes((flags | present * _SPOT_STATUS,)) + body + tail


def decode_continuous(value: Value) -> ContinuousOximetry:
    """
    Read a PLX Continuous Measurement, 0x2A5F.

    Raises:
        DecodeError: A field is incomplete.
    """
    octets = Octets(value)
    flags = octets.uint8()
    return ContinuousOximetry(
        normal=_take(octets),
        fast=_take(octets) if flags & _FAST else None,
        slow=_take(octets) if flags & _SLOW else None,
        status=octets.uint16() if flags & _STATUS else None,
        sensor_status=octets.unsigned(3) if flags & _SENSOR else None,
        pulse_amplitude_percent=octets.sfloat() if flags & _AMPLITUDE else None,
    )


def encode_continuous(measurement: ContinuousOximetry) -> bytes:
    """Return *measurement* as an oximeter sends it."""
    flags, body = 0, _encode(measurement.normal)
    for flag, oximetry in ((_FAST, measurement.fast), (_SLOW, measurement.slow)):
        if oximetry is not None:
            flags |= flag
            body += _encode(oximetry)
    present, tail = _encode_tail(measurement)
    return bytes((flags | present * _STATUS,)) + body + tail


def observations(measurement: SpotCheck | ContinuousOximetry) -> list[Outcome]:
    """
    Return the outcomes of *measurement*: saturation and pulse rate, with normal averaging.

    Both come from one signal. If the saturation is refused, so is the pulse: an oximeter without a
    finger sends, for example, 127 % and 255 beats a minute.
    """
    fault = first_of(measurement.sensor_status or 0, _SENSOR_FAULTS) or first_of(
        measurement.status or 0, _FAULTS
    )
    if isinstance(measurement, SpotCheck):
        when, undated = _dated(measurement)
        oximetry, fault = measurement.oximetry, fault or undated
    else:
        when, oximetry = LIVE, measurement.normal
    spo2 = judge(Code.SPO2, oximetry.spo2_percent, when=when, fault=fault)
    doubt = spo2.reason if isinstance(spo2, Refused) else None
    return [spo2, judge(Code.PULSE_RATE, oximetry.pulse_bpm, when=when, fault=doubt)]


def _dated(spot: SpotCheck) -> tuple[When, Refusal | None]:
    """Return when *spot* was measured, and `UNDATED` if that is unknown."""
    if spot.timestamp is None:
        return LIVE, None
    shown = None if spot.clock_not_set else spot.timestamp.as_datetime()
    if shown is not None:
        return When(sensor_time=shown), None
    # The clock is not usable. A measurement that is sent at once does not need it, but only the
    # status distinguishes that from a stored record.
    is_live = spot.status is not None and not spot.status & OximeterStatus.FROM_STORAGE
    return LIVE, None if is_live else Refusal.UNDATED


def _take(octets: Octets) -> Oximetry:
    return Oximetry(octets.sfloat(), octets.sfloat())


def _encode(oximetry: Oximetry) -> bytes:
    return struct.pack("<HH", to_sfloat(oximetry.spo2_percent), to_sfloat(oximetry.pulse_bpm))


def _encode_tail(measurement: SpotCheck | ContinuousOximetry) -> tuple[int, bytes]:
    """Return the bits of the last three fields that are present (0, 1, 2), and their bytes."""
    present, tail = 0, b""
    if measurement.status is not None:
        present, tail = present | 1, tail + struct.pack("<H", measurement.status)
    if measurement.sensor_status is not None:
        present, tail = present | 2, tail + measurement.sensor_status.to_bytes(3, "little")
    if (amplitude := measurement.pulse_amplitude_percent) is not None:
        present, tail = present | 4, tail + struct.pack("<H", to_sfloat(amplitude))
    return present, tail
