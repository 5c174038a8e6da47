"""
Open mHealth: a data point on each line, for each observation that a published schema describes.

The schemas and their versions are those of https://github.com/openmhealth/schemas; a data point's
header is `header` 1.2 there. What no schema describes is in the other files of a package: the
battery's level, energy (a schema wants the interval that it was used in), a single pressure.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from formats.blood_pressure import BloodPressure
from formats.observed import Observed
from wire.quantities import Code

_ENCODER: Final = msgspec.json.Encoder()
_BLOOD_PRESSURE: Final = ("blood-pressure", "4.0")
_MMHG: Final = "mmHg"


class Schema(msgspec.Struct, frozen=True):
    """A schema: its name and version, the field of the value, its unit, and constant fields."""

    name: str
    version: str
    field: str
    unit: str
    more: dict[str, str] = {}


def _glucose(specimen: str) -> Schema:
    return Schema("blood-glucose", "4.0", "blood_glucose", "mmol/L", {"specimen_source": specimen})


SCHEMAS: Final[Mapping[str, Schema]] = {
    "heart_rate": Schema("heart-rate", "2.0", "heart_rate", "beats/min"),
    "pulse_rate": Schema("heart-rate", "2.0", "heart_rate", "beats/min"),
    "rr_interval": Schema("rr-interval", "1.0", "rr_interval", "ms"),
    "glucose_capillary": _glucose("capillary blood"),
    "glucose_interstitial": _glucose("interstitial fluid"),
    "spo2": Schema(
        "oxygen-saturation",
        "2.0",
        "oxygen_saturation",
        "%",
        {"system": "peripheral capillary", "measurement_method": "pulse oximetry"},
    ),
    "body_temperature": Schema("body-temperature", "4.0", "body_temperature", "C"),
    "body_weight": Schema("body-weight", "2.0", "body_weight", "kg"),
}
"""Schema by the name of a quantity; a blood pressure has its own."""


def lines(
    observed: Iterable[Observed | BloodPressure], *, made_at: dt.datetime
) -> Iterator[bytes]:
    """Yield a line of JSON for each of *observed* that a schema describes."""
    created = made_at.astimezone(dt.UTC).isoformat(timespec="seconds")
    for one in observed:
        point = _pressure(one) if isinstance(one, BloodPressure) else _value(one)
        if point is not None:
            (name, version), body = point
            yield (
                _ENCODER.encode({"header": _header(name, version, created), "body": body}) + b"\n"
            )


def _value(one: Observed) -> tuple[tuple[str, str], dict[str, Any]] | None:
    schema = SCHEMAS.get(one.quantity.name)
    if schema is None:
        return None
    return (schema.name, schema.version), {
        schema.field: {"value": one.number, "unit": schema.unit},
        "effective_time_frame": {"date_time": one.time},
        **schema.more,
    }


def _pressure(one: BloodPressure) -> tuple[tuple[str, str], dict[str, Any]] | None:
    systolic = one.part(Code.BLOOD_PRESSURE_SYSTOLIC)
    diastolic = one.part(Code.BLOOD_PRESSURE_DIASTOLIC)
    if systolic is None or diastolic is None:
        return None
    return _BLOOD_PRESSURE, {
        "systolic_blood_pressure": {"value": systolic.number, "unit": _MMHG},
        "diastolic_blood_pressure": {"value": diastolic.number, "unit": _MMHG},
        "effective_time_frame": {"date_time": one.time},
    }


def _header(name: str, version: str, created: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "creation_date_time": created,
        "schema_id": {"namespace": "omh", "name": name, "version": version},
        "acquisition_provenance": {"source_name": "VitalVeil", "modality": "sensed"},
    }
