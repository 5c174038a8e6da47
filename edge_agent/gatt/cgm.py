"""Continuous glucose monitoring sensors: CGM Measurement (0x2AA7)."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import crc
from edge_agent.gatt.conversion import MMOL_PER_L_FROM_MG_PER_DL
from edge_agent.gatt.errors import Truncated
from edge_agent.gatt.ieee11073 import Number, to_sfloat
from edge_agent.gatt.meaning import Outcome, When, first_of, judge
from edge_agent.gatt.octets import Octets, Value
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from wire.quantities import Code
from wire.refusals import Refusal

# GSS, CGM Measurement, Flags.
_TREND: Final = 0x01
_QUALITY: Final = 0x02
_WARNING: Final = 0x20
_CAL_TEMP: Final = 0x40
_STATUS: Final = 0x80


class Annunciation(enum.IntFlag):
    """GSS, Sensor Status Annunciation: the three octets as one number of 24 bits."""

    SESSION_STOPPED = 1 << 0
    BATTERY_LOW = 1 << 1
    SENSOR_TYPE_INCORRECT = 1 << 2
    SENSOR_MALFUNCTION = 1 << 3
    DEVICE_ALERT = 1 << 4
    GENERAL_FAULT = 1 << 5
    TIME_SYNCHRONISATION_REQUIRED = 1 << 8
    CALIBRATION_NOT_ALLOWED = 1 << 9
    CALIBRATION_RECOMMENDED = 1 << 10
    CALIBRATION_REQUIRED = 1 << 11
    TEMPERATURE_TOO_HIGH = 1 << 12
    TEMPERATURE_TOO_LOW = 1 << 13
    CALIBRATION_PENDING = 1 << 14
    BELOW_PATIENT_LOW = 1 << 16
    ABOVE_PATIENT_HIGH = 1 << 17
    BELOW_HYPO = 1 << 18
    ABOVE_HYPER = 1 << 19
    FALLING_FAST = 1 << 20
    RISING_FAST = 1 << 21
    RESULT_TOO_LOW = 1 << 22
    RESULT_TOO_HIGH = 1 << 23


_FAULTS: Final[dict[int, Refusal]] = {
    Annunciation.SENSOR_TYPE_INCORRECT
    | Annunciation.SENSOR_MALFUNCTION
    | Annunciation.GENERAL_FAULT
    | Annunciation.TEMPERATURE_TOO_HIGH
    | Annunciation.TEMPERATURE_TOO_LOW: Refusal.SENSOR_FAULT,
    Annunciation.RESULT_TOO_LOW | Annunciation.RESULT_TOO_HIGH: Refusal.SATURATED,
}


class CgmRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a session."""

    concentration_mg_dl: Number
    time_offset_min: int
    """Since the start of the session."""
    status: int | None = None
    """Bits 0 to 7 of `Annunciation`; None, here and below, if all of them are clear."""
    cal_temp: int | None = None
    """Bits 8 to 15."""
    warning: int | None = None
    """Bits 16 to 23."""
    trend_mg_dl_min: Number | None = None
    quality_percent: Number | None = None

    @property
    def annunciation(self) -> int:
        """The three octets as bits of `Annunciation`."""
        return (self.status or 0) | (self.cal_temp or 0) << 8 | (self.warning or 0) << 16


class CgmMeasurement(msgspec.Struct, frozen=True):
    """The records of one notification, at least one."""

    records: tuple[CgmRecord, ...]


def decode(value: Value, quirks: Quirks = NO_QUIRKS) -> CgmMeasurement:
    """
    Read a CGM Measurement, 0x2AA7. One bad record makes the whole value invalid.

    Raises:
        DecodeError: There is no record, a size contradicts its flags, or a checksum is wrong.
    """
    if not value:
        raise Truncated(expected=1, got=0)
    records: list[CgmRecord] = []
    at = 0
    while at < len(value):
        end = at + value[at]
        if end > len(value):
            raise Truncated(expected=end, got=len(value))
        # A size of 0 gives an empty record, which is an error: the loop always ends.
        records.append(_decode_record(value[at:end], quirks))
        at = end
    return CgmMeasurement(tuple(records))


def encode(measurement: CgmMeasurement, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return *measurement* as a sensor sends it, with a checksum if *quirks* say so."""
    return b"".join(_encode_record(record, quirks) for record in measurement.records)


def observations(measurement: CgmMeasurement) -> list[Outcome]:
    """Return one outcome for each record of *measurement*: interstitial glucose, or a refusal."""
    return [_judge_record(record) for record in measurement.records]


def _judge_record(record: CgmRecord) -> Outcome:
    # Some sensors send 0 with an unknown trend while they warm up, even with a clear status.
    warm_up = Refusal.WARM_UP if record.concentration_mg_dl == 0 else None
    return judge(
        Code.GLUCOSE_INTERSTITIAL,
        record.concentration_mg_dl,
        unit=MMOL_PER_L_FROM_MG_PER_DL,
        when=When(session_min=record.time_offset_min),
        fault=first_of(record.annunciation, _FAULTS) or warm_up,
    )


def _decode_record(record: Value, quirks: Quirks) -> CgmRecord:
    octets = Octets(record, at=1)
    flags = octets.uint8()
    concentration, time_offset_min = octets.sfloat(), octets.uint16()
    octet = {flag: octets.uint8() for flag in _octet_order(quirks) if flags & flag}
    decoded = CgmRecord(
        concentration_mg_dl=concentration,
        time_offset_min=time_offset_min,
        status=octet.get(_STATUS),
        cal_temp=octet.get(_CAL_TEMP),
        warning=octet.get(_WARNING),
        trend_mg_dl_min=octets.sfloat() if flags & _TREND else None,
        quality_percent=octets.sfloat() if flags & _QUALITY else None,
    )
    # GSS, CGM Measurement, E2E-CRC: the checksum covers all fields of the record, also its size.
    crc.finish(octets, record, quirks)
    return decoded


def _encode_record(record: CgmRecord, quirks: Quirks) -> bytes:
    octet = {_STATUS: record.status, _CAL_TEMP: record.cal_temp, _WARNING: record.warning}
    flags = sum(flag for flag, bits in octet.items() if bits is not None)
    body = struct.pack("<HH", to_sfloat(record.concentration_mg_dl), record.time_offset_min)
    body += bytes(bits for flag in _octet_order(quirks) if (bits := octet[flag]) is not None)
    if record.trend_mg_dl_min is not None:
        flags |= _TREND
        body += struct.pack("<H", to_sfloat(record.trend_mg_dl_min))
    if record.quality_percent is not None:
        flags |= _QUALITY
        body += struct.pack("<H", to_sfloat(record.quality_percent))
    size = 2 + len(body) + (crc.CRC_BYTES if quirks.e2e_crc else 0)
    return crc.append(bytes((size, flags)) + body, quirks)


def _octet_order(quirks: Quirks) -> tuple[int, int, int]:
    # GSS: status, cal/temp, warning. The nRF5 SDK's firmware, and what copied it, has it reversed.
    if quirks.warning_first:
        return _WARNING, _CAL_TEMP, _STATUS
    return _STATUS, _CAL_TEMP, _WARNING
