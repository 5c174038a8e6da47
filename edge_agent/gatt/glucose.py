"""Glucose meters: Glucose Measurement (0x2A18), Glucose Feature (0x2A51)."""

import datetime
import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import date_time
from edge_agent.gatt.conversion import MMOL_PER_L_FROM_MG_PER_DL, Conversion
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.glucose_context import GlucoseContext
from edge_agent.gatt.ieee11073 import Number, to_sfloat
from edge_agent.gatt.meaning import Outcome, When, first_of, judge
from edge_agent.gatt.octets import Octets, Value, nibbles
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from edge_agent.gatt.specimen import judge_specimen
from wire.quantities import Code
from wire.refusals import Refusal

# GSS, Glucose Measurement, Flags.
_TIME_OFFSET: Final = 0x01
_CONCENTRATION: Final = 0x02
_MOL_PER_L: Final = 0x04
_STATUS: Final = 0x08
_CONTEXT: Final = 0x10


class GlucoseStatus(enum.IntFlag):
    """GSS, Sensor Status Annunciation: how the measurement went; bits 12 to 15 are reserved."""

    BATTERY_LOW = 1 << 0
    MALFUNCTION = 1 << 1
    SAMPLE_TOO_SMALL = 1 << 2
    STRIP_INSERTION = 1 << 3
    STRIP_TYPE = 1 << 4
    RESULT_TOO_HIGH = 1 << 5
    RESULT_TOO_LOW = 1 << 6
    TEMPERATURE_TOO_HIGH = 1 << 7
    TEMPERATURE_TOO_LOW = 1 << 8
    READ_INTERRUPTED = 1 << 9
    GENERAL_FAULT = 1 << 10
    TIME_FAULT = 1 << 11


_FAULTS: Final[dict[int, Refusal]] = {
    GlucoseStatus.MALFUNCTION
    | GlucoseStatus.SAMPLE_TOO_SMALL
    | GlucoseStatus.STRIP_INSERTION
    | GlucoseStatus.STRIP_TYPE
    | GlucoseStatus.TEMPERATURE_TOO_HIGH
    | GlucoseStatus.TEMPERATURE_TOO_LOW
    | GlucoseStatus.READ_INTERRUPTED
    | GlucoseStatus.GENERAL_FAULT: Refusal.SENSOR_FAULT,
    GlucoseStatus.RESULT_TOO_HIGH | GlucoseStatus.RESULT_TOO_LOW: Refusal.SATURATED,
    GlucoseStatus.TIME_FAULT: Refusal.UNDATED,
}


class GlucoseUnit(enum.Enum):
    """
    The unit of a concentration.

    The tables of flags speak of mg/dL and mmol/L; the field itself is in kg/L and mol/L.
    """

    KG_PER_L = "kg/L"
    MOL_PER_L = "mol/L"


_MMOL_FROM_MOL: Final = Conversion(1000)
# 1 kg/L is 100,000 mg/dL.
_MMOL_FROM_KG: Final = Conversion(
    100_000 * MMOL_PER_L_FROM_MG_PER_DL.numerator, MMOL_PER_L_FROM_MG_PER_DL.denominator
)


class Concentration(msgspec.Struct, frozen=True):
    """The concentration that the strip gave."""

    value: Number
    unit: GlucoseUnit
    sample_type: int
    """A `specimen.SampleType`, or a reserved number."""
    location: int
    """A `specimen.SampleLocation`, or a reserved number."""

    @property
    def to_mmol_per_l(self) -> Conversion:
        """From `unit` to mmol/L."""
        return _MMOL_FROM_MOL if self.unit is GlucoseUnit.MOL_PER_L else _MMOL_FROM_KG


class GlucoseMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """
    A stored record of a meter.

    The sequence number alone does not identify it: it restarts when the meter's memory is cleared.
    """

    sequence: int
    base_time: DateTime
    """The meter's inner clock, which its owner's settings do not move."""
    time_offset_min: int | None = None
    """Minutes to add for the clock that the owner sees; signed, and not only a time zone."""
    concentration: Concentration | None = None
    """None if the record has none."""
    status: int | None = None
    """Bits of `GlucoseStatus`; None if the meter does not send them."""
    context_follows: bool = False

    def shown_at(self) -> datetime.datetime | None:
        """Return the time of the measurement by the clock that the owner sees; None if unknown."""
        base = self.base_time.as_datetime()
        if base is None:
            return None
        try:
            return base + datetime.timedelta(minutes=self.time_offset_min or 0)
        except OverflowError:
            return None


class GlucoseFeatures(msgspec.Struct, frozen=True):
    """What a meter can detect: bits 0 to 10 of GSS, Glucose Feature."""

    bits: int


def decode(value: Value) -> GlucoseMeasurement:
    """
    Read a Glucose Measurement, 0x2A18.

    Raises:
        DecodeError: A field is incomplete, or the base time is invalid.
    """
    octets = Octets(value)
    flags = octets.uint8()
    return GlucoseMeasurement(
        sequence=octets.uint16(),
        base_time=date_time.take(octets),
        time_offset_min=octets.signed(2) if flags & _TIME_OFFSET else None,
        concentration=_take_concentration(octets, flags) if flags & _CONCENTRATION else None,
        status=octets.uint16() if flags & _STATUS else None,
        context_follows=bool(flags & _CONTEXT),
    )


def encode(measurement: GlucoseMeasurement) -> bytes:
    """Return *measurement* as a meter sends it."""
    flags = _CONTEXT if measurement.context_follows else 0
    body = struct.pack("<H", measurement.sequence) + date_time.encode(measurement.base_time)
    if measurement.time_offset_min is not None:
        flags |= _TIME_OFFSET
        body += struct.pack("<h", measurement.time_offset_min)
    if (concentration := measurement.concentration) is not None:
        flags |= _CONCENTRATION
        flags |= _MOL_PER_L if concentration.unit is GlucoseUnit.MOL_PER_L else 0
        halves = concentration.location << 4 | concentration.sample_type
        body += struct.pack("<HB", to_sfloat(concentration.value), halves)
    if measurement.status is not None:
        flags |= _STATUS
        body += struct.pack("<H", measurement.status)
    return bytes((flags,)) + body


def decode_features(value: Value) -> GlucoseFeatures:
    """
    Read a Glucose Feature, 0x2A51.

    Raises:
        DecodeError: The value is not two bytes long.
    """
    octets = Octets(value)
    features = GlucoseFeatures(octets.uint16())
    octets.end()
    return features


def encode_features(features: GlucoseFeatures) -> bytes:
    """Return *features* as a meter sends them."""
    return struct.pack("<H", features.bits)


def observations(
    measurement: GlucoseMeasurement,
    context: GlucoseContext | None = None,
    quirks: Quirks = NO_QUIRKS,
) -> list[Outcome]:
    """
    Return one outcome: the glucose concentration of *measurement*, or why it is refused.

    Args:
        measurement: A record of a meter.
        context: The context with the same sequence, if it has come. If the record announces a
            context, wait for it: it may say that the record is a ketone.
        quirks: Of the model of the meter.
    """
    concentration = measurement.concentration
    if concentration is None:
        return [judge(Code.GLUCOSE_CAPILLARY, None)]
    quantity, other = judge_specimen(concentration.sample_type, concentration.location)
    shown_at = measurement.shown_at()
    fault = (
        other
        or _doubt_analyte(measurement, context, quirks)
        or first_of(measurement.status or 0, _FAULTS)
        or (Refusal.UNDATED if shown_at is None else None)
    )
    when = When(sensor_time=shown_at)
    unit = concentration.to_mmol_per_l
    return [judge(quantity, concentration.value, unit=unit, when=when, fault=fault)]


def _doubt_analyte(
    measurement: GlucoseMeasurement, context: GlucoseContext | None, quirks: Quirks
) -> Refusal | None:
    """Return a refusal if the record may be a ketone and not glucose."""
    if context is None or context.sequence != measurement.sequence:
        if measurement.context_follows:
            return Refusal.CONTEXT_MISSING
        return Refusal.UNKNOWN_ANALYTE if quirks.holds_ketones else None
    return Refusal.KETONE if context.is_ketone else None


def _take_concentration(octets: Octets, flags: int) -> Concentration:
    value = octets.sfloat()
    # GSS: the type is the low half, the location the high one.
    sample_type, location = nibbles(octets.uint8())
    unit = GlucoseUnit.MOL_PER_L if flags & _MOL_PER_L else GlucoseUnit.KG_PER_L
    return Concentration(value, unit, sample_type, location)
