"""FHIR: the export conforms to HL7's own profiles, and every reference resolves."""

import copy
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle

from formats.blood_pressure import joined
from formats.fhir import bundle
from formats.fhir.observations import OWN
from formats.observed import Observed
from formats.person import Status
from tests.support import vital_signs
from tests.support.observations import AT, consent, observed, of_every_quantity, person

Json = dict[str, Any]
SYSTOLIC, DIASTOLIC, MEAN = (
    "blood_pressure_systolic", "blood_pressure_diastolic", "blood_pressure_mean",
)  # fmt: skip


def exported(rows: list[Observed], **more: Any) -> Json:
    """Return the Bundle of *rows*."""
    made = bundle.lines(person(**more), joined(rows), made_at=AT, version="1.2.3")
    found: Json = json.loads(b"".join(made))
    return found


def observations(rows: list[Observed]) -> list[Json]:
    """Return the Observations of *rows*."""
    found = [entry["resource"] for entry in exported(rows)["entry"]]
    return [one for one in found if one["resourceType"] == "Observation"]


def codes(one: Json) -> list[str]:
    """Return the LOINC codes of *one*."""
    return [coding["code"] for coding in one["code"]["coding"]]


@pytest.mark.parametrize("row", of_every_quantity(), ids=lambda row: row.quantity.name)
def test_every_quantity_conforms_to_the_profile_of_its_vital_sign(row: Observed) -> None:
    """An Observation of each quantity violates no rule of HL7's profiles of vital signs."""
    (one,) = observations([row])
    assert vital_signs.problems(one) == []


def test_a_profile_is_claimed_for_every_vital_sign() -> None:
    """Heart and pulse rate, saturation, temperature, weight and blood pressure name a profile."""
    found = [url.rpartition("/")[2] for one in observations(of_every_quantity())
             for url in one.get("meta", {}).get("profile", [])]  # fmt: skip
    assert sorted(found) == ["bodytemp", "bodyweight", "bp", "heartrate", "heartrate", "oxygensat"]


def test_a_saturation_has_the_code_of_the_profile_and_that_of_the_method() -> None:
    """A saturation by pulse oximetry has the code 59408-5, and the profile's 2708-6 beside it."""
    (one,) = observations([observed("spo2", 97.5)])
    assert codes(one) == ["2708-6", "59408-5"]
    assert one["valueQuantity"] == {
        "value": 97.5, "unit": "%", "system": vital_signs.UCUM, "code": "%",
    }  # fmt: skip


def test_a_blood_pressure_is_one_panel() -> None:
    """Systolic, diastolic and mean pressure of one moment are components of one Observation."""
    rows = [observed(SYSTOLIC, 121), observed(DIASTOLIC, 80), observed(MEAN, 93)]
    (one,) = observations(rows)
    assert codes(one) == ["85354-9"]
    parts = {codes(part)[0]: part["valueQuantity"]["value"] for part in one["component"]}
    assert parts == {"8480-6": 121, "8462-4": 80, "8478-0": 93}


def test_a_pressure_that_is_missing_is_said_to_be_missing() -> None:
    """A panel without one of its pressures has a reason in its place, and no value."""
    (one,) = observations([observed(SYSTOLIC, 121)])
    assert vital_signs.problems(one) == []
    absent = one["component"][1]
    assert codes(absent) == ["8462-4"]
    assert absent["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_pressures_of_two_cuffs_in_one_moment_are_not_mixed() -> None:
    """If pressures of one moment cannot be assigned to pairs, no pair is invented."""
    rows = [observed(SYSTOLIC, 121), observed(SYSTOLIC, 140),
            observed(DIASTOLIC, 80), observed(DIASTOLIC, 95)]  # fmt: skip
    found = observations(rows)
    values = [[p["valueQuantity"]["value"] for p in one["component"] if "valueQuantity" in p]
              for one in found]  # fmt: skip
    assert values == [[121], [140], [80], [95]]
    assert [vital_signs.problems(one) for one in found] == [[]] * 4


def test_pressures_of_two_purposes_or_moments_are_two_panels() -> None:
    """A panel has values of one purpose and one moment."""
    later = AT + dt.timedelta(minutes=1)
    rows = [observed(SYSTOLIC, 121), observed(DIASTOLIC, 80, at=later),
            observed(MEAN, 90, at=later, purpose="research")]  # fmt: skip
    assert len(observations(rows)) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glucose_capillary", ["14743-9", "15074-8"]),
        ("glucose_interstitial", ["105272-9"]),
        # 80404-7 would be the standard deviation of the intervals.
        ("rr_interval", ["8637-1"]),
    ],
)
def test_codes_beside_the_vital_signs_say_what_was_measured(
    name: str, expected: list[str]
) -> None:
    """
    Glucose is coded by its specimen and in moles, and intervals are not coded as
    variability.
    """
    (one,) = observations([observed(name)])
    assert codes(one) == expected
    assert "vital-signs" not in json.dumps(one)


def test_what_loinc_has_no_code_for_has_one_of_ours() -> None:
    """
    Every Observation has a code, a UCUM unit and a time with a zone; a local code replaces a
    missing one of LOINC.
    """
    found = observations(of_every_quantity())
    assert len(found) == len(of_every_quantity()) - 2
    ours = [one for one in found if one["code"]["coding"][0]["system"] == OWN]
    assert [codes(one)[0] for one in ours] == ["energy-expended", "battery-level"]
    for one in found:
        assert one["effectiveDateTime"] == "2026-10-25T00:30:00.123Z"
        for quantity in [one.get("valueQuantity"), *(p["valueQuantity"] for p in
                                                     one.get("component", []))]:  # fmt: skip
            assert quantity is None or quantity["system"] == vital_signs.UCUM


def test_marks_of_a_sensor_are_told() -> None:
    """A flag that the sensor set on a value is exported."""
    (one,) = observations([observed("glucose_capillary", flags=1)])
    assert "time may be wrong by hours" in one["note"][0]["text"]
    (one,) = observations([observed("glucose_interstitial", flags=4)])
    assert one["note"] == [{"text": "Marks of the sensor: 4."}]
    (panel,) = observations([observed(SYSTOLIC, flags=1), observed(DIASTOLIC, flags=2)])
    assert "wrong by hours" in panel["note"][0]["text"]
    assert "sensor: 2." in panel["note"][0]["text"]


def references(value: object) -> Iterator[str]:
    """Yield every reference in *value*."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_reference_resolves_and_no_id_is_there_twice() -> None:
    """Every reference of a Bundle resolves inside it, and no id occurs twice."""
    made = exported(of_every_quantity(), consents=[consent(), consent(Status.INACTIVE)])
    assert made["type"] == "collection"
    urls = [entry["fullUrl"] for entry in made["entry"]]
    assert len(set(urls)) == len(urls)
    assert [f"urn:uuid:{entry['resource']['id']}" for entry in made["entry"]] == urls
    assert set(references(made)) <= set(urls)
    Bundle.model_validate_json(json.dumps(made))


def test_the_patient_is_known_by_an_id_alone() -> None:
    """A Bundle holds no name, birth or address: the patient has only an id."""
    made = exported([observed("heart_rate")])
    (patient,) = [
        e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == "Patient"
    ]
    assert set(patient) == {"resourceType", "id", "identifier", "managingOrganization"}


def test_provenance_tells_who_made_the_bundle() -> None:
    """The provenance names the controller as custodian, and the program that made the Bundle."""
    made = exported([observed("heart_rate")], consents=[consent()])
    kinds = {e["fullUrl"]: e["resource"]["resourceType"] for e in made["entry"]}
    source = made["entry"][-1]["resource"]
    assert [kinds[target["reference"]] for target in source["target"]] == ["Patient", "Consent"]
    assert [kinds[agent["who"]["reference"]] for agent in source["agent"]] == [
        "Device", "Organization",
    ]  # fmt: skip


def test_a_period_does_not_end_before_it_starts() -> None:
    """The consent for a future period that is replaced before has an empty period (rule per-1)."""
    early = msgspec.structs.replace(consent(), valid_to=AT - dt.timedelta(days=1))
    made = exported([], consents=[early])
    (found,) = [e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == "Consent"]
    period = found["provision"]["period"]
    assert period["start"] == period["end"]


def _without_category(one: Json) -> None:
    del one["category"]


def _without_profile_code(one: Json) -> None:
    one["code"]["coding"] = one["code"]["coding"][1:] or [{"code": "x"}]


def _with_another_unit(one: Json) -> None:
    (one.get("component", [one])[0])["valueQuantity"]["code"] = "kPa"


def _without_unit(one: Json) -> None:
    del (one.get("component", [one])[0])["valueQuantity"]["unit"]


def _without_subject(one: Json) -> None:
    del one["subject"]


def _without_value(one: Json) -> None:
    del (one.get("component", [one])[0])["valueQuantity"]


def _without_profile(one: Json) -> None:
    del one["meta"]


@pytest.mark.parametrize(
    "breaks",
    [
        _without_category, _without_profile_code, _with_another_unit, _without_unit,
        _without_subject, _without_value, _without_profile,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["pulse_rate", "spo2", "body_weight", SYSTOLIC])
def test_the_check_of_profiles_finds_what_is_broken(
    name: str, breaks: Callable[[Json], None]
) -> None:
    """The check of profiles finds violations: the other tests can fail."""
    (one,) = observations([observed(name)])
    broken = copy.deepcopy(one)
    breaks(broken)
    assert vital_signs.problems(one) == []
    assert vital_signs.problems(broken) != []
