"""
Apple Health: `export.xml`, read as a stream; such a file may have gigabytes.

Each Record names its type, its unit and a time with an offset. A record of a type that is not
mapped is passed over, one in a unit that is not mapped is refused. Blood glucose does not say
whether it is interstitial or capillary; the user says it, or it is refused.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from recordings.glucose import sample_of
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.fields import number
from recordings.parsing.instants import instant_ms
from recordings.parsing.xml_stream import Start, events
from recordings.sample import Sample
from recordings.tally import ParseTally, Reason, in_order
from wire.quantities import BY_NAME

KIND: Final = "apple_health"
_PREFIX: Final = "HKQuantityTypeIdentifier"
_GLUCOSE: Final = "BloodGlucose"
_MMOL: Final = re.compile(r"mmol<180\.15\d*>/L")
_POUND_KG: Final = 0.45359237


class _Scale(msgspec.Struct, frozen=True):
    """How a unit becomes that of the quantity: value times *factor* plus *offset*."""

    factor: float = 1.0
    offset: float = 0.0


_ONE: Final = _Scale()
_TYPES: Final[dict[str, tuple[str, dict[str, _Scale]]]] = {
    "HeartRate": ("heart_rate", {"count/min": _ONE}),
    "OxygenSaturation": ("spo2", {"%": _Scale(100.0)}),
    "BloodPressureSystolic": ("blood_pressure_systolic", {"mmHg": _ONE}),
    "BloodPressureDiastolic": ("blood_pressure_diastolic", {"mmHg": _ONE}),
    "BodyTemperature": (
        "body_temperature",
        {"degC": _ONE, "degF": _Scale(5 / 9, -160 / 9)},
    ),
    "BodyMass": (
        "body_weight",
        {"kg": _ONE, "g": _Scale(0.001), "lb": _Scale(_POUND_KG)},
    ),
}


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is an export of Apple Health."""
    return (
        head.lstrip().startswith("<") and "<HealthData" in head
    ) or "<!DOCTYPE HealthData" in head


def parse(
    chunks: Iterable[bytes], tally: ParseTally, options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the samples of an export in the order of time; count each reading in *tally*.

    Raises:
        FileRefused: The XML is malformed, or the file too large.
    """
    tally.zone = "UTC"
    found: list[Sample] = []
    for event in events(chunks):
        if not isinstance(event, Start) or event.name != "Record":
            continue
        kind = event.attributes.get("type", "").removeprefix(_PREFIX)
        if kind != _GLUCOSE and kind not in _TYPES:
            tally.passed_over += 1
            continue
        tally.row()
        sample = _sample(kind, event.attributes, tally, options)
        if isinstance(sample, Reason):
            tally.reject(sample, event.line)
        else:
            found.append(sample)
    return in_order(found, tally)


def _sample(
    kind: str, attributes: dict[str, str], tally: ParseTally, options: ReadOptions
) -> Sample | Reason:
    at_ms = instant_ms(attributes.get("startDate"))
    if at_ms is None:
        return Reason.BAD_TIME
    value = number(attributes.get("value", ""))
    if value is None or value < 0:
        return Reason.BAD_NUMBER
    said = attributes.get("unit", "")
    if kind == _GLUCOSE:
        return _glucose(at_ms, value, said, tally, options.glucose)
    return _other(at_ms, value, said, tally, kind)


def _glucose(
    at_ms: int, value: float, said: str, tally: ParseTally, quantity: str | None
) -> Sample | Reason:
    unit = "mmol/L" if _MMOL.fullmatch(said) else said
    if unit not in ("mg/dL", "mmol/L"):
        return Reason.UNIT_NOT_SAID
    tally.say_unit(unit)
    if quantity is None:
        return Reason.SPECIMEN_NOT_SAID
    return sample_of(at_ms, value, unit, quantity=quantity)


def _other(at_ms: int, value: float, said: str, tally: ParseTally, kind: str) -> Sample | Reason:
    quantity, scales = _TYPES[kind]
    scale = scales.get(said)
    if scale is None:
        return Reason.UNIT_NOT_SAID
    tally.say_unit(said)
    converted = round(value * scale.factor + scale.offset, 4)
    known = BY_NAME[quantity]
    if not known.is_plausible(known.to_steps(converted)):
        return Reason.IMPLAUSIBLE
    return Sample(at_ms, quantity, converted)
