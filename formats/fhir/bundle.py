"""
The Bundle: a person under their id alone, their consents, their observations, and where they are
from.

https://hl7.org/fhir/R4/ (Bundle, Patient, Consent, Device, Organization, Provenance). The Patient
has no name and no date of birth, so that the Bundle can be passed on as it is; these are in
another file of the package. Every reference is the `fullUrl` of an entry.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from formats.blood_pressure import BloodPressure
from formats.fhir.observations import LOINC, observation
from formats.observed import Observed
from formats.person import Consent, Controller, Person

_SCOPE: Final = "http://terminology.hl7.org/CodeSystem/consentscope"
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_ACTIVITY: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_CONSENT_DOCUMENT: Final = "59284-0"
_ENCODER: Final = msgspec.json.Encoder()
Json = dict[str, Any]


def lines(
    person: Person,
    observed: Iterable[Observed | BloodPressure],
    *,
    made_at: dt.datetime,
    version: str,
) -> Iterator[bytes]:
    """
    Yield the Bundle as JSON, in pieces, because it may be larger than the memory.

    Args:
        person: The person, with their consents.

        observed: All observations, each blood pressure as one.

        made_at: The time of the export.

        version: The version of VitalVeil.
    """
    head: Json = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "type": "collection",
        "timestamp": _instant(made_at),
    }
    patient, custodian, device = _urn(person.subject), _urn(uuid.uuid4()), _urn(uuid.uuid4())
    yield _ENCODER.encode(head)[:-1] + b',"entry":['
    yield _entry(patient, _patient(person, custodian))
    yield b",\n" + _entry(custodian, _organization(person.controller, custodian))
    yield b",\n" + _entry(device, _device(version, device))
    consents = [_urn(one.consent) for one in person.consents]
    for url, one in zip(consents, person.consents, strict=True):
        yield b",\n" + _entry(url, consent(one, patient=patient, custodian=custodian))
    for measured in observed:
        own = uuid.uuid4()
        yield b",\n" + _entry(_urn(own), observation(measured, patient=patient, own=own))
    source = _urn(uuid.uuid4())
    made = _provenance([patient, *consents], device, custodian, made_at=made_at, url=source)
    yield b",\n" + _entry(source, made)
    yield b"]}\n"


def _urn(own: uuid.UUID) -> str:
    return f"urn:uuid:{own}"


def _entry(url: str, resource: Json) -> bytes:
    return _ENCODER.encode({"fullUrl": url, "resource": resource})


def _resource(kind: str, url: str) -> Json:
    return {"resourceType": kind, "id": url.removeprefix("urn:uuid:")}


def _patient(person: Person, custodian: str) -> Json:
    return {
        **_resource("Patient", _urn(person.subject)),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": _urn(person.subject)}],
        "managingOrganization": {"reference": custodian},
    }


def _organization(controller: Controller, url: str) -> Json:
    return {**_resource("Organization", url), "name": controller.name}


def _device(version: str, url: str) -> Json:
    return {
        **_resource("Device", url),
        "deviceName": [{"name": "VitalVeil", "type": "manufacturer-name"}],
        "version": [{"value": version}],
    }


def consent(answered: Consent, *, patient: str, custodian: str) -> Json:
    """Return *answered* as a Consent of the *patient*, kept by the *custodian*, both URNs."""
    period = {"start": _instant(answered.valid_from)}
    if answered.valid_to is not None:
        # A period may not end before it starts (invariant per-1).
        period["end"] = _instant(max(answered.valid_from, answered.valid_to))
    return {
        **_resource("Consent", _urn(answered.consent)),
        "status": answered.status,
        "scope": {"coding": [{"system": _SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": LOINC, "code": _CONSENT_DOCUMENT}]}],
        "patient": {"reference": patient},
        "dateTime": _instant(answered.decided_at),
        "organization": [{"reference": custodian}],
        "policy": [{"uri": f"urn:vitalveil:purpose:{answered.purpose}:{answered.version}"}],
        "provision": {"type": "permit" if answered.is_yes else "deny", "period": period},
    }


def _provenance(
    targets: list[str], device: str, custodian: str, *, made_at: dt.datetime, url: str
) -> Json:
    def agent(code: str, who: str) -> Json:
        role = {"coding": [{"system": _PARTICIPANT, "code": code}]}
        return {"type": role, "who": {"reference": who}}

    return {
        **_resource("Provenance", url),
        "target": [{"reference": target} for target in targets],
        "recorded": _instant(made_at),
        "activity": {"coding": [{"system": _ACTIVITY, "code": "CREATE"}]},
        "agent": [agent("assembler", device), agent("custodian", custodian)],
    }


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
