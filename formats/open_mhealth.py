"""
Open mHealth: a data point on each line, for each observation whose quantity has a schema.

https://www.openmhealth.org/documentation/#/schema-docs/schema-library
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from formats.observed import Observed

_ENCODER: Final = msgspec.json.Encoder()


class _Schema(msgspec.Struct, frozen=True):
    name: str
    version: str
    field: str
    unit: str
    more: dict[str, str] = {}


SCHEMAS: Final = {
    "heart_rate": _Schema("heart-rate", "2.0", "heart_rate", "beats/min"),
    "pulse_rate": _Schema("heart-rate", "2.0", "heart_rate", "beats/min"),
    "rr_interval": _Schema("rr-interval", "1.0", "rr_interval", "ms"),
    "glucose_capillary": _Schema(
        "blood-glucose", "3.1", "blood_glucose", "mmol/L", {"specimen_source": "capillary blood"}
    ),
    "glucose_interstitial": _Schema(
        "blood-glucose",
        "3.1",
        "blood_glucose",
        "mmol/L",
        {"specimen_source": "interstitial fluid"},
    ),
    "spo2": _Schema("oxygen-saturation", "2.0", "oxygen_saturation", "%"),
    "body_temperature": _Schema("body-temperature", "4.0", "body_temperature", "C"),
    "body_weight": _Schema("body-weight", "2.0", "body_weight", "kg"),
}
"""Schema by quantity. Other quantities, for instance single blood pressure values, have none."""


def lines(observed: Iterable[Observed], *, made_at: dt.datetime) -> Iterator[bytes]:
    """Yield a line of JSON for each of *observed* whose quantity has a schema."""
    created = made_at.astimezone(dt.UTC).isoformat(timespec="seconds")
    for one in observed:
        schema = SCHEMAS.get(one.quantity.name)
        if schema is not None:
            yield _ENCODER.encode(_point(one, schema, created)) + b"\n"


def _point(one: Observed, schema: _Schema, created: str) -> dict[str, Any]:
    return {
        "header": {
            "id": str(uuid.uuid4()),
            "creation_date_time": created,
            "schema_id": {"namespace": "omh", "name": schema.name, "version": schema.version},
            "acquisition_provenance": {"source_name": "VitalVeil", "modality": "sensed"},
        },
        "body": {
            schema.field: {"value": one.value, "unit": schema.unit},
            "effective_time_frame": {"date_time": one.time},
            **schema.more,
        },
    }
