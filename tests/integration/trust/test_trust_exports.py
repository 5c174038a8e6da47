"""Exports of a person's data: complete, of that person alone, and for a limited time."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.fixtures.vault import Office, Refusal, measured, pseudonyms
from tests.integration.trust.test_trust_cli import run as run_cli
from tests.support import open_mhealth as registry
from tests.support import vital_signs
from trust.errors import Refused
from trust.rights import export_files
from wire.quantities import BY_NAME

pytestmark = pytest.mark.database


PURPOSE = "home-monitoring"


def store(office: Office, *, quantity: str, values: list[float]) -> None:
    """Store observations of every person who may be measured."""
    if office.telemetry.variant == "native":
        office.telemetry.execute("SELECT vv.ensure_partitions('2026-06-01', '2026-06-02')")
    for number, value in enumerate(values):
        office.telemetry.execute(
            "INSERT INTO vv.observations SELECT timestamptz '2026-06-01T12:00Z' + %s *"
            " interval '1 s', series_id, %s, 0 FROM vv.series WHERE quantity = %s",
            number, value, BY_NAME[quantity].code,
        )  # fmt: skip


def exported(office: Office, subject: str, folder: Path, *more: str) -> dict[str, bytes]:
    """Return the files of an export, opened with its passphrase."""
    secret = folder / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("correct horse battery staple\n")
    out = folder / "ada.vvexport"
    office.run(
        "export", "make", subject, "--out", str(out), "--passphrase-file", str(secret), *more
    )
    argv = ["export", "open", str(out), "--out", str(folder / "ada.zip")]
    code, _, errors = run_cli(*argv, "--passphrase-file", str(secret))
    assert (code, errors) == (0, "")
    assert b"Ada" not in out.read_bytes()
    assert not out.stat().st_mode & 0o077
    with zipfile.ZipFile(folder / "ada.zip") as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_export_is_whole_and_hers_alone(office: Office, tmp_path: Path) -> None:
    """
    FHIR, Open mHealth and CSV each have all stored data of the person, and of no other
    person.
    """
    subject, _ = measured(office)
    store(office, quantity="heart_rate", values=[72, 73, 74])
    store(office, quantity="glucose_interstitial", values=[5.1])
    office.run("pseudonym", "rotate", "--purpose", PURPOSE)
    measured(office, agent=office.enrol()[0])
    others = office.telemetry.fetch("SELECT count(*) FROM vv.observations")

    parts = exported(office, subject, tmp_path)

    assert others == [(4,)]
    rows = list(csv.DictReader(io.StringIO(parts["observations.csv"].decode())))
    assert sorted((row["quantity"], row["value"], row["unit"]) for row in rows) == [
        ("glucose_interstitial", "5.1", "mmol/L"),
        ("heart_rate", "72", "/min"),
        ("heart_rate", "73", "/min"),
        ("heart_rate", "74", "/min"),
    ]
    bundle: Any = Bundle.model_validate_json(parts["fhir-bundle.json"])
    kinds = [entry.resource.get_resource_type() for entry in bundle.entry]
    assert kinds == [
        "Patient", "Organization", "Device", "Consent", *["Observation"] * 4, "Provenance",
    ]  # fmt: skip
    assert {e.resource.valueQuantity.code for e in bundle.entry[4:-1]} == {"/min", "mmol/L"}
    points = [json.loads(line) for line in parts["open-mhealth.ndjson"].splitlines()]
    assert sorted(point["header"]["schema_id"]["name"] for point in points) == [
        "blood-glucose", "heart-rate", "heart-rate", "heart-rate",
    ]  # fmt: skip
    everything = b"".join(parts.values())
    assert json.loads(parts["identity.json"])["name"] == "Ada Canary"
    for secret in [*pseudonyms(office), "C0:FF:EE"]:
        assert secret.encode() not in everything


def test_blood_pressures_and_withdrawn_consents_are_exported_as_what_they_are(
    office: Office, tmp_path: Path
) -> None:
    """
    Pressures that were stored separately are one panel for each moment, and withdrawn consents are
    inactive.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()
    for _ in range(2):
        office.accept(subject, agent, "--quantities", "heart_rate,spo2")
    office.withdraw(subject)
    for name in ("systolic", "diastolic", "mean"):
        office.telemetry.execute(
            "INSERT INTO vv.series (pseudonym, purpose, quantity)"
            " SELECT pseudonym, purpose, %s FROM vv.series WHERE quantity = %s",
            BY_NAME[f"blood_pressure_{name}"].code, BY_NAME["spo2"].code,
        )  # fmt: skip
        store(office, quantity=f"blood_pressure_{name}", values=[120, 121])
    store(office, quantity="heart_rate", values=[72])

    parts = exported(office, subject, tmp_path)

    entries = [entry["resource"] for entry in json.loads(parts["fhir-bundle.json"])["entry"]]
    measured_ = [one for one in entries if one["resourceType"] == "Observation"]
    assert [vital_signs.problems(one) for one in measured_] == [[]] * 3
    assert [len(one.get("component", [])) for one in measured_] == [0, 3, 3]
    consents = [one for one in entries if one["resourceType"] == "Consent"]
    assert [one["status"] for one in consents] == ["inactive"] * 3
    assert [one["standing"] for one in json.loads(parts["decisions.json"])] == [
        "superseded", "superseded", "withdrawn",
    ]  # fmt: skip
    points = [json.loads(line) for line in parts["open-mhealth.ndjson"].splitlines()]
    assert [registry.problems(point) for point in points] == [[]] * 3


def test_an_export_closes_its_request_and_is_deleted_in_time(
    office: Office, tmp_path: Path
) -> None:
    """An export for a request closes the request; after its time the file is deleted."""
    subject, _ = measured(office)
    other = office.add_subject("Bob")
    request = office.run(
        "request", "add", "--subject", subject, "--kind", "access", "--received-at", "now"
    )["request"]
    foreign = office.run(
        "request", "add", "--subject", other, "--kind", "access", "--received-at", "now"
    )["request"]
    with pytest.raises(Refusal, match="another person"):
        exported(office, subject, tmp_path, "--request", foreign)
    exported(office, subject, tmp_path, "--request", request)
    assert [row["request"] for row in office.run("request", "list")["rows"]] == [foreign]
    assert office.run("export", "purge", "--yes")["deleted"] == 0
    office.vault.execute("UPDATE vault.exports SET expires_at = now() - interval '1 s'")
    assert office.run("export", "purge", "--yes")["deleted"] == 1
    assert not (tmp_path / "ada.vvexport").exists()


def test_an_export_does_not_open_by_guessing_or_damaged(office: Office, tmp_path: Path) -> None:
    """A wrong passphrase, a truncated file and a flipped bit each give an error, and no output."""
    subject, _ = measured(office)
    exported(office, subject, tmp_path)
    sealed = (tmp_path / "ada.vvexport").read_bytes()
    (tmp_path / "ada.zip").unlink()
    broken = tmp_path / "broken"
    for data in (sealed[:-1], sealed[: len(sealed) // 2], sealed + b"x", b"",
                 sealed[:-40] + bytes([sealed[-40] ^ 1]) + sealed[-39:]):  # fmt: skip
        broken.write_bytes(data)
        with pytest.raises(Refused, match="cannot be opened"):
            export_files.unpack(broken, tmp_path / "ada.zip", "correct horse battery staple")
    with pytest.raises(Refused, match="cannot be opened"):
        export_files.unpack(
            tmp_path / "ada.vvexport", tmp_path / "ada.zip", "correct horse battery"
        )
    assert [path.name for path in tmp_path.iterdir() if "zip" in path.name] == []
