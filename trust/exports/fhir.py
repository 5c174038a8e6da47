"""FHIR R4B: a Bundle of the person, her consents and her observations."""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from trust.decisions import Decision, State
from trust.exports.observed import Observed
from trust.subjects import Identity
from wire.quantities import Quantity

_OWN: Final = "urn:vitalveil:quantity"
_STATUS: Final = {
    State.ACCEPTED: "active",
    State.REFUSED: "rejected",
    State.DECLINED: "rejected",
    State.INVALIDATED: "entered-in-error",
}
Json = dict[str, Any]


def bundle(
    subject: UUID,
    identity: Identity,
    decisions: Sequence[Decision],
    observed: Iterable[Observed],
    *,
    made_at: dt.datetime,
) -> Iterator[bytes]:
    """Yield the Bundle, in pieces: it may be larger than memory."""
    patient = f"urn:uuid:{subject}"
    head: Json = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "type": "collection",
        "timestamp": _instant(made_at),
    }
    yield msgspec.json.encode(head)[:-1] + b',"entry":['
    yield _entry(patient, _patient(subject, identity))
    for decision in decisions:
        resource = consent(decision, patient=patient)
        yield b",\n" + _entry(f"urn:uuid:{decision.decision}", resource)
    for one in observed:
        own = uuid.uuid4()
        yield b",\n" + _entry(f"urn:uuid:{own}", observation(one, patient=patient, own=own))
    yield b"]}\n"


def _entry(url: str, resource: Json) -> bytes:
    return msgspec.json.encode({"fullUrl": url, "resource": resource})


def _patient(subject: UUID, identity: Identity) -> Json:
    patient: Json = {
        "resourceType": "Patient",
        "id": str(subject),
        "name": [{"text": identity.name}],
    }
    if identity.born is not None:
        patient["birthDate"] = identity.born
    return patient


def consent(decision: Decision, *, patient: str) -> Json:
    """Return *decision* as a Consent."""
    is_yes = decision.state is State.ACCEPTED
    provision: Json = {
        "type": "permit" if is_yes else "deny",
        "period": {"start": _instant(decision.valid_from)},
    }
    if decision.valid_to is not None:
        provision["period"]["end"] = _instant(decision.valid_to)
    return {
        "resourceType": "Consent",
        "id": str(decision.decision),
        "status": _STATUS.get(decision.state, "inactive"),
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
        "dateTime": _instant(decision.decided_at),
        "policy": [{"uri": f"urn:vitalveil:purpose:{decision.purpose}:{decision.version}"}],
        "provision": provision,
    }


def observation(one: Observed, *, patient: str, own: UUID) -> Json:
    """Return *one* as an Observation."""
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
