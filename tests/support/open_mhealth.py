"""
The published schemas of Open mHealth, as far as they are exported: versions, fields and units.

Taken from https://github.com/openmhealth/schemas (folder `schema/omh`) as of August 2024, its
newest commit. Schemas there allow further fields; here an unknown field is an error.
"""

import datetime as dt
from typing import Any, Final

import msgspec

Json = dict[str, Any]

PUBLISHED: Final = {
    "blood-glucose": {"1.0", "2.0", "3.0", "4.0"},
    "blood-pressure": {"1.0", "2.0", "3.0", "3.1", "4.0"},
    "body-temperature": {"1.0", "2.0", "3.0", "4.0"},
    "body-weight": {"1.0", "2.0", "3.0"},
    "heart-rate": {"1.0", "1.1", "2.0"},
    "oxygen-saturation": {"1.0", "2.0"},
    "rr-interval": {"1.0"},
}
"""Every version of each schema, by name."""


class Body(msgspec.Struct, frozen=True):
    """The values of a body with their units, and the allowed words of its other fields."""

    values: dict[str, set[str]]
    words: dict[str, set[str]] = {}


BODIES: Final = {
    "blood-glucose": Body(
        {"blood_glucose": {"mg/dL", "mmol/L"}},
        {
            "specimen_source": {
                "breath", "capillary blood", "interstitial fluid", "lacrimal fluid", "saliva",
                "sweat", "urine",
            }
        },
    ),
    "blood-pressure": Body(
        {"systolic_blood_pressure": {"mmHg"}, "diastolic_blood_pressure": {"mmHg"}}
    ),
    "body-temperature": Body({"body_temperature": {"K", "F", "C"}}),
    "body-weight": Body({"body_weight": {"g", "kg", "lb"}}),
    "heart-rate": Body({"heart_rate": {"beats/min"}}),
    "oxygen-saturation": Body(
        {"oxygen_saturation": {"%"}},
        {"system": {"peripheral capillary"}, "measurement_method": {"pulse oximetry"}},
    ),
    "rr-interval": Body({"rr_interval": {"ms"}}),
}  # fmt: skip


def problems(point: Json) -> list[str]:
    """Return the parts of the data point *point* that no published schema allows."""
    header, body = point["header"], point["body"]
    schema = header["schema_id"]
    name, version = schema["name"], schema["version"]
    if schema["namespace"] != "omh" or version not in PUBLISHED.get(name, ()):
        return [f"schema_id {name} {version}"]
    return _of_header(header) + _of_body(body, BODIES[name])


def _of_header(header: Json) -> list[str]:
    provenance = header.get("acquisition_provenance", {"source_name": "-"})
    holds = {
        "header": set(header) <= {"id", "creation_date_time", "schema_id",
                                  "acquisition_provenance", "user_id"},
        "id": isinstance(header.get("id"), str),
        "creation_date_time": _is_time(header.get("creation_date_time")),
        "source_name": isinstance(provenance.get("source_name"), str),
        "modality": provenance.get("modality", "sensed") in {"sensed", "self-reported"},
    }  # fmt: skip
    return [part for part, is_right in holds.items() if not is_right]


def _of_body(body: Json, wanted: Body) -> list[str]:
    found = []
    for field, units in wanted.values.items():
        value = body.get(field, {})
        if not isinstance(value.get("value"), (int, float)) or value.get("unit") not in units:
            found.append(field)
    for field, words in wanted.words.items():
        if body.get(field, min(words)) not in words:
            found.append(field)
    if not _is_time(body.get("effective_time_frame", {}).get("date_time")):
        found.append("effective_time_frame")
    known = {*wanted.values, *wanted.words, "effective_time_frame"}
    return found + sorted(set(body) - known)


def _is_time(text: object) -> bool:
    """Tell whether *text* is a time of RFC 3339 with its offset."""
    try:
        return isinstance(text, str) and dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
