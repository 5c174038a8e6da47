"""Weight scales: Weight Measurement (0x2A9D)."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import date_time
from edge_agent.gatt.conversion import Conversion
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.meaning import Outcome, date, judge
from edge_agent.gatt.octets import Octets, Value
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from wire.quantities import Code
from wire.refusals import Refusal

# GSS, Weight Measurement, Flags.
_IMPERIAL: Final = 0x01
_TIMESTAMP: Final = 0x02
_USER: Final = 0x04
_BMI_AND_HEIGHT: Final = 0x08
_SPECIFIED: Final = 0x0F
# GSS, Weight: steps of 0.005 kg or 0.01 lb.
# Weight Scale Service: 0xFFFF stands for an unsuccessful measurement.
_UNSUCCESSFUL: Final = 0xFFFF
_KG_FROM_SI_STEPS: Final = Conversion(5, 1000)
# International yard and pound agreement of 1959: 1 lb is 0.45359237 kg.
_KG_FROM_IMPERIAL_STEPS: Final = Conversion(45_359_237, 100 * 100_000_000)

USER_UNKNOWN: Final = 0xFF


class WeightUnit(enum.Enum):
    """The unit of the weight. The height is in mm or in tenths of an inch, respectively."""

    KG = "kg"
    LB = "[lb_av]"

    @property
    def to_kg(self) -> Conversion:
        """From steps of a weight in this unit to kg."""
        return _KG_FROM_IMPERIAL_STEPS if self is WeightUnit.LB else _KG_FROM_SI_STEPS


class BodySize(msgspec.Struct, frozen=True):
    """BMI and height, which a scale computes from a height that its owner entered."""

    bmi_tenths: int
    height_steps: int


class WeightMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """One weighing, live or stored."""

    weight_steps: int | None
    """In steps of 0.005 kg or 0.01 lb; None if the measurement did not succeed."""
    unit: WeightUnit = WeightUnit.KG
    timestamp: DateTime | None = None
    user: int | None = None
    """The index of the person, where several share the scale; `USER_UNKNOWN` if unknown."""
    body_size: BodySize | None = None
    vendor_flags: int = 0
    """The flags that the specification reserves, in which some scales tell more."""


def decode(value: Value) -> WeightMeasurement:
    """
    Read a Weight Measurement, 0x2A9D.

    Raises:
        DecodeError: A field is incomplete, or the timestamp is invalid.
    """
    octets = Octets(value)
    flags = octets.uint8()
    steps = octets.uint16()
    return WeightMeasurement(
        weight_steps=None if steps == _UNSUCCESSFUL else steps,
        unit=WeightUnit.LB if flags & _IMPERIAL else WeightUnit.KG,
        timestamp=date_time.take(octets) if flags & _TIMESTAMP else None,
        user=octets.uint8() if flags & _USER else None,
        body_size=(
            BodySize(octets.uint16(), octets.uint16()) if flags & _BMI_AND_HEIGHT else None
        ),
        vendor_flags=flags & ~_SPECIFIED,
    )


def encode(measurement: WeightMeasurement) -> bytes:
    """Return *measurement* as a scale sends it."""
    flags = measurement.vendor_flags | (_IMPERIAL if measurement.unit is WeightUnit.LB else 0)
    steps = measurement.weight_steps
    body = struct.pack("<H", _UNSUCCESSFUL if steps is None else steps)
    if measurement.timestamp is not None:
        flags |= _TIMESTAMP
        body += date_time.encode(measurement.timestamp)
    if measurement.user is not None:
        flags |= _USER
        body += bytes((measurement.user,))
    if (size := measurement.body_size) is not None:
        flags |= _BMI_AND_HEIGHT
        body += struct.pack("<HH", size.bmi_tenths, size.height_steps)
    return bytes((flags,)) + body


def observations(measurement: WeightMeasurement, quirks: Quirks = NO_QUIRKS) -> list[Outcome]:
    """
    Return the outcome of *measurement*: a body weight.

    Where several people share a scale, `user` tells which of them was weighed: the lease binds
    users, and the pipeline refuses all others.
    """
    when, fault = date(measurement.timestamp)
    fault = _not_settled(measurement.vendor_flags, quirks) or fault
    steps, unit = measurement.weight_steps, measurement.unit.to_kg
    return [judge(Code.BODY_WEIGHT, steps, unit=unit, when=when, fault=fault)]


def _not_settled(vendor_flags: int, quirks: Quirks) -> Refusal | None:
    stable, removed = quirks.weight_stable_bit, quirks.weight_removed_bit
    if removed is not None and vendor_flags >> removed & 1:
        return Refusal.OFF_BODY
    if stable is not None and not vendor_flags >> stable & 1:
        return Refusal.WARM_UP
    return None
