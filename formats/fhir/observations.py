"""
Observations of FHIR R4, conforming to HL7's profiles of vital signs where there is one.

https://hl7.org/fhir/R4/observation-vitalsigns.html lists the codes, units and profiles. Glucose
has no such profile: its codes are those for mmol/L of HL7's guide on glucose monitoring
(https://hl7.org/fhir/uv/cgm/) and of meters for capillary blood. LOINC has others for mg/dL.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from formats.blood_pressure import BloodPressure
from formats.observed import Observed, marks

Json = dict[str, Any]

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
OWN: Final = "urn:vitalveil:quantity"
"""The system of codes for quantities that LOINC has no code for."""
PROFILE: Final = "http://hl7.org/fhir/StructureDefinition/"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


class Coded(msgspec.Struct, frozen=True):
    """How a quantity is coded: codes and names of LOINC, the category, and HL7's profile."""

    codes: Mapping[str, str]
    category: str | None
    profile: str | None = None


_VITAL: Final = "vital-signs"
_HEART_RATE: Final = {"8867-4": "Heart rate"}
_BLOOD_PRESSURE: Final = Coded(
    {"85354-9": "Blood pressure panel with all children optional"}, _VITAL, "bp"
)
CODED: Final[Mapping[str, Coded]] = {
    "heart_rate": Coded(_HEART_RATE, _VITAL, "heartrate"),
    "pulse_rate": Coded(
        # The profile wants the general code, also where a more exact one stands beside it.
        {**_HEART_RATE, "8889-8": "Heart rate by Pulse oximetry"}, _VITAL, "heartrate",
    ),
    "spo2": Coded(
        {
            "2708-6": "Oxygen saturation in Arterial blood",
            "59408-5": "Oxygen saturation in Arterial blood by Pulse oximetry",
        },
        _VITAL,
        "oxygensat",
    ),
    "body_temperature": Coded({"8310-5": "Body temperature"}, _VITAL, "bodytemp"),
    "body_weight": Coded({"29463-7": "Body weight"}, _VITAL, "bodyweight"),
    "glucose_capillary": Coded(
        {
            "14743-9": "Glucose [Moles/volume] in Capillary blood by Glucometer",
            "15074-8": "Glucose [Moles/volume] in Blood",
        },
        "laboratory",
    ),
    "glucose_interstitial": Coded(
        {"105272-9": "Glucose [Moles/volume] in Interstitial fluid"}, "laboratory"
    ),
    # The electrical activity of the heart is a procedure's result (electrodiagnostics).
    "rr_interval": Coded({"8637-1": "R-R interval by EKG"}, "procedure"),
    "energy_expended": Coded({}, "activity"),
    "battery_level": Coded({}, None),
}  # fmt: skip
"""Coding by the name of the quantity. The quantities of a blood pressure share one panel."""
_COMPONENTS: Final[Mapping[str, tuple[str, str]]] = {
    "blood_pressure_systolic": ("8480-6", "Systolic blood pressure"),
    "blood_pressure_diastolic": ("8462-4", "Diastolic blood pressure"),
    "blood_pressure_mean": ("8478-0", "Mean blood pressure"),
}


def observation(one: Observed | BloodPressure, *, patient: str, own: UUID) -> Json:
    """
    Return *one* as an Observation.

    Args:
        one: A value, or a blood pressure with its two or three values.

        patient: The URN of the Patient who was measured.

        own: The id of the Observation.
    """
    if isinstance(one, BloodPressure):
        return _panel(one, patient=patient, own=own)
    coded = CODED.get(one.quantity.name, Coded({}, None))
    found = _head(coded, one.quantity.name.replace("_", " "), own, patient, one.time)
    found["valueQuantity"] = _quantity(one)
    if one.flags:
        found["note"] = _note(one.flags)
    return found


def _panel(one: BloodPressure, *, patient: str, own: UUID) -> Json:
    found = _head(_BLOOD_PRESSURE, "blood pressure", own, patient, one.time)
    measured = {part.quantity.name: part for part in one.parts}
    required = ("blood_pressure_systolic", "blood_pressure_diastolic")
    names = [name for name in _COMPONENTS if name in measured or name in required]
    found["component"] = [_component(name, measured.get(name)) for name in names]
    if one.flags:
        found["note"] = _note(one.flags)
    return found


def _component(name: str, measured: Observed | None) -> Json:
    code, display = _COMPONENTS[name]
    component: Json = {"code": {"coding": [_coding(LOINC, code, display)]}}
    if measured is None:
        # The profile wants both pressures: a value, or why there is none.
        component["dataAbsentReason"] = {"coding": [_coding(_ABSENT, "unknown", "Unknown")]}
    else:
        component["valueQuantity"] = _quantity(measured)
    return component


def _head(coded: Coded, text: str, own: UUID, patient: str, time: str) -> Json:
    head: Json = {"resourceType": "Observation", "id": str(own)}
    if coded.profile is not None:
        head["meta"] = {"profile": [PROFILE + coded.profile]}
    head["status"] = "final"
    if coded.category is not None:
        head["category"] = [{"coding": [{"system": _CATEGORY, "code": coded.category}]}]
    codings = [_coding(LOINC, code, display) for code, display in coded.codes.items()]
    if not codings:
        codings = [_coding(OWN, text.replace(" ", "-"), text)]
    return {
        **head,
        "code": {"coding": codings, "text": text},
        "subject": {"reference": patient},
        "effectiveDateTime": time,
    }


def _coding(system: str, code: str, display: str) -> Json:
    return {"system": system, "code": code, "display": display}


def _quantity(one: Observed) -> Json:
    unit = one.quantity.unit
    return {"value": one.number, "unit": unit, "system": UCUM, "code": unit}


def _note(flags: int) -> list[Json]:
    return [{"text": marks(flags)}]
