"""
FHIR R4B: a Bundle of a person, their consents and their observations.

https://hl7.org/fhir/R4B/ (Bundle, Patient, Consent, Observation)
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from formats.observed import Observed
from formats.person import Answer, Consent, Person
from wire.quantities import Quantity

_OWN: Final = "urn:vitalveil:quantity"
_STATUS: Final = {
    Answer.YES: "active",
    Answer.NO: "rejected",
    Answer.VOID: "entered-in-error",
    Answer.OTHER: "inactive",
}
Json = dict[str, Any]


def bundle(
    person: Person, observed: Iterable[Observed], *, made_at: dt.datetime
) -> Iterator[bytes]:
    """Yield the Bundle as JSON, in pieces, because it may be larger than the memory."""
    patient = f"urn:uuid:{person.subject}"
    head: Json = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "type": "collection",
        "timestamp": _instant(made_at),
    }
    yield msgspec.json.encode(head)[:-1] + b',"entry":['
    yield _entry(patient, _patient(person))
    for one in person.consents:
        yield b",\n" + _entry(f"urn:uuid:{one.consent}", consent(one, patient=patient))
    for measured in observed:
        own = uuid.uuid4()
        resource = observation(measured, patient=patient, own=own)
        yield b",\n" + _entry(f"urn:uuid:{own}", resource)
    yield b"]}\n"


def _entry(url: str, resource: Json) -> bytes:
    return msgspec.json.encode({"fullUrl": url, "resource": resource})


def _patient(person: Person) -> Json:
    patient: Json = {
        "resourceType": "Patient",
        "id": str(person.subject),
        "name": [{"text": person.name}],
    }
    if person.born is not None:
        patient["birthDate"] = person.born
    return patient


def consent(answered: Consent, *, patient: str) -> Json:
    """Return *answered* as a Consent of the *patient*, who is named by a URN."""
    provision: Json = {
        "type": "permit" if answered.answer is Answer.YES else "deny",
        "period": {"start": _instant(answered.valid_from)},
    }
    if answered.valid_to is not None:
        provision["period"]["end"] = _instant(answered.valid_to)
    return {
        "resourceType": "Consent",
        "id": str(answered.consent),
        "status": _STATUS[answered.answer],
        "scope": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                    "code": "patient-privacy",
                }
            ]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": patient},
        "dateTime": _instant(answered.decided_at),
        "policy": [{"uri": f"urn:vitalveil:purpose:{answered.purpose}:{answered.version}"}],
        "provision": provision,
    }


def observation(one: Observed, *, patient: str, own: UUID) -> Json:
    """Return *one* as an Observation with the id *own*, of the *patient* named by a URN."""
    return {
        "resourceType": "Observation",
        "id": str(own),
        "status": "final",
        "code": {"coding": [_coding(one.quantity)], "text": one.quantity.name},
        "subject": {"reference": patient},
        "effectiveDateTime": one.time,
        "valueQuantity": {
            "value": one.value,
            "unit": one.quantity.unit,
            "system": "http://unitsofmeasure.org",
            "code": one.quantity.unit,
        },
    }


def _coding(quantity: Quantity) -> Json:
    if quantity.loinc is None:
        return {"system": _OWN, "code": quantity.name.replace("_", "-")}
    return {"system": "http://loinc.org", "code": quantity.loinc}


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
