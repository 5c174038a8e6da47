"""Blood pressure monitors: Blood Pressure Measurement (0x2A35)."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import date_time
from edge_agent.gatt.conversion import SAME_UNIT, Conversion
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import Number, to_sfloat
from edge_agent.gatt.meaning import Observation, Outcome, date, judge
from edge_agent.gatt.octets import Octets, Value
from wire.quantities import Code
from wire.refusals import Refusal

# GSS, Blood Pressure Measurement, Flags.
_KILOPASCAL: Final = 0x01
_TIMESTAMP: Final = 0x02
_PULSE: Final = 0x04
_USER: Final = 0x08
_STATUS: Final = 0x10
# ISO 80000-4, conventional millimetre of mercury: 1 mmHg is 133.322387415 Pa.
_MMHG_FROM_KPA: Final = Conversion(1000 * 1_000_000_000, 133_322_387_415)

USER_UNKNOWN: Final = 0xFF


class BloodPressureStatus(enum.IntFlag):
    """GSS, Measurement Status: how the measurement was taken; bits 6 to 15 are reserved."""

    BODY_MOVEMENT = 1 << 0
    CUFF_TOO_LOOSE = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_ABOVE_RANGE = 1 << 3
    PULSE_BELOW_RANGE = 1 << 4
    IMPROPER_POSITION = 1 << 5


class BloodPressureUnit(enum.Enum):
    """The unit of the three pressures."""

    MMHG = "mmHg"
    KPA = "kPa"

    @property
    def to_mmhg(self) -> Conversion:
        """From this unit to mmHg."""
        return _MMHG_FROM_KPA if self is BloodPressureUnit.KPA else SAME_UNIT


class BloodPressureMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """One inflation of the cuff, live or stored."""

    systolic: Number
    diastolic: Number
    mean: Number
    """Mean arterial pressure; NaN from monitors that do not compute it."""
    unit: BloodPressureUnit = BloodPressureUnit.MMHG
    timestamp: DateTime | None = None
    pulse_bpm: Number | None = None
    user: int | None = None
    """The index of the person, where several share the monitor; `USER_UNKNOWN` if unknown."""
    status: int | None = None
    """Bits of `BloodPressureStatus`; None if the monitor does not tell."""


def decode(value: Value) -> BloodPressureMeasurement:
    """
    Read a Blood Pressure Measurement, 0x2A35.

    Raises:
        DecodeError: A field is incomplete, or the timestamp is invalid.
    """
    octets = Octets(value)
    flags = octets.uint8()
    return BloodPressureMeasurement(
        systolic=octets.sfloat(),
        diastolic=octets.sfloat(),
        mean=octets.sfloat(),
        unit=BloodPressureUnit.KPA if flags & _KILOPASCAL else BloodPressureUnit.MMHG,
        timestamp=date_time.take(octets) if flags & _TIMESTAMP else None,
        pulse_bpm=octets.sfloat() if flags & _PULSE else None,
        user=octets.uint8() if flags & _USER else None,
        status=octets.uint16() if flags & _STATUS else None,
    )


def encode(measurement: BloodPressureMeasurement) -> bytes:
    """Return *measurement* as a monitor sends it."""
    flags = _KILOPASCAL if measurement.unit is BloodPressureUnit.KPA else 0
    pressures = (measurement.systolic, measurement.diastolic, measurement.mean)
    body = struct.pack("<3H", *map(to_sfloat, pressures))
    if measurement.timestamp is not None:
        flags |= _TIMESTAMP
        body += date_time.encode(measurement.timestamp)
    if measurement.pulse_bpm is not None:
        flags |= _PULSE
        body += struct.pack("<H", to_sfloat(measurement.pulse_bpm))
    if measurement.user is not None:
        flags |= _USER
        body += bytes((measurement.user,))
    if measurement.status is not None:
        flags |= _STATUS
        body += struct.pack("<H", measurement.status)
    return bytes((flags,)) + body


def observations(measurement: BloodPressureMeasurement) -> list[Outcome]:
    """
    Return the outcomes of *measurement*: three pressures and, if it has one, a pulse rate.

    Where several people share a monitor, `user` tells which of them was measured: the lease
    binds users, and the pipeline refuses all others.
    """
    when, fault = date(measurement.timestamp)
    pressures = (
        (Code.BLOOD_PRESSURE_SYSTOLIC, measurement.systolic),
        (Code.BLOOD_PRESSURE_DIASTOLIC, measurement.diastolic),
        (Code.BLOOD_PRESSURE_MEAN, measurement.mean),
    )
    unit = measurement.unit.to_mmhg
    outcomes = [judge(code, p, unit=unit, when=when, fault=fault) for code, p in pressures]
    systolic, diastolic, _ = outcomes
    if _contradict(systolic, diastolic):
        contradiction = Refusal.IMPLAUSIBLE
        outcomes = [judge(code, p, fault=contradiction) for code, p in pressures]
    if measurement.pulse_bpm is not None:
        fault = fault or _pulse_fault(measurement.status or 0)
        outcomes.append(judge(Code.PULSE_RATE, measurement.pulse_bpm, when=when, fault=fault))
    return outcomes


def _contradict(systolic: Outcome, diastolic: Outcome) -> bool:
    return (
        isinstance(systolic, Observation)
        and isinstance(diastolic, Observation)
        and systolic.steps <= diastolic.steps
    )


def _pulse_fault(status: int) -> Refusal | None:
    outside = BloodPressureStatus.PULSE_ABOVE_RANGE | BloodPressureStatus.PULSE_BELOW_RANGE
    return Refusal.SATURATED if status & outside else None
