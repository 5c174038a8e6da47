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
from tests.support import vital_signs, winzip
from trust.errors import Refused
from trust.rights import export_files
from trust.rights.export_files import Seal
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


PASSPHRASE = "correct horse battery staple"


def exported(office: Office, subject: str, folder: Path, *more: str) -> dict[str, bytes]:
    """Return the files of an export, opened with its passphrase."""
    secret = folder / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text(f"{PASSPHRASE}\n")
    out = folder / "ada.export"
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
    for secret in pseudonyms(office):
        assert secret.encode() not in everything
    # What may be passed on names neither her nor her sensors.
    for name in ("fhir-bundle.json", "open-mhealth.ndjson", "observations.csv"):
        assert b"Ada" not in parts[name]
        assert b"C0:FF:EE" not in parts[name]


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


def test_a_person_is_told_everything_that_is_kept_of_her(office: Office, tmp_path: Path) -> None:
    """Sensors, gateways, corrections, requests, copies, policies, and aggregates."""
    subject, agent = measured(office)
    store(office, quantity="heart_rate", values=[72, 74])
    office.telemetry.execute("SELECT vv.roll_up('2026-06-02')")
    office.run("subject", "rectify", subject, "--name", "Ada King")
    office.run("request", "add", "--subject", subject, "--kind", "erasure", "--received-at", "now")
    exported(office, subject, tmp_path)
    for left in ("ada.zip", "ada.export"):
        (tmp_path / left).unlink()

    parts = exported(office, subject, tmp_path)

    told = json.loads(parts["about-you.json"])
    assert told["name"] == "Ada King"
    assert [(one["sensor"], one["gateway"]) for one in told["sensors"]] == [
        ("C0:FF:EE:00:00:01", agent)
    ]
    assert [one["gateway"] for one in told["gateways"]] == [agent]
    assert [one["fields"] for one in told["corrections"]] == [["name"]]
    assert [one["right"] for one in told["requests"]] == ["erasure"]
    assert [one["observations"] for one in told["copies"]] == [2]
    (purpose,) = told["purposes"]
    assert (purpose["art6"], purpose["art9"], purpose["raw_days"], purpose["aggregate_days"]) == (
        "6.1.a", "9.2.a", 30, 365,
    )  # fmt: skip
    assert purpose["recipients"] == ["care-team"]
    assert told["notice"]["controller"] == "clinic.example"
    minutes = list(csv.DictReader(io.StringIO(parts["aggregates.csv"].decode())))
    assert [(row["seconds"], row["count"], row["mean"], row["lowest"], row["highest"])
            for row in minutes] == [(width, "2", "73", "72", "74")
                                    for width in ("60", "3600", "86400")]  # fmt: skip
    for page in ("vos-donnees.html", "your-data.html", "ihre-daten.html"):
        text = parts[page].decode()
        assert "C0:FF:EE:00:00:01" in text
        assert "Ada King" in text
        assert "<svg" in text


def test_what_does_not_open_is_told_to_be_there(office: Office, tmp_path: Path) -> None:
    """A damaged record of a sensor does not cost the person their copy of everything else."""
    subject, agent = measured(office)
    store(office, quantity="heart_rate", values=[72])
    office.vault.execute("UPDATE vault.handles SET sealed_bindings = '\\x00'")

    parts = exported(office, subject, tmp_path)

    told = json.loads(parts["about-you.json"])
    assert [(one["sensor"], one["gateway"]) for one in told["sensors"]] == [(None, agent)]
    assert len(parts["observations.csv"].splitlines()) == 2
    assert "no longer readable" in parts["your-data.html"].decode()


def test_a_person_without_a_decision_has_a_copy_too(office: Office, tmp_path: Path) -> None:
    """A person who was only registered is told that, and nothing more."""
    parts = exported(office, office.add_subject("Bo Registered"), tmp_path)
    told = json.loads(parts["about-you.json"])
    assert told["name"] == "Bo Registered"
    assert told["purposes"] == told["sensors"] == told["answers"] == []
    assert len(parts["observations.csv"].splitlines()) == 1


@pytest.mark.parametrize("seal", Seal)
def test_an_export_is_opened_without_us_or_by_us(
    office: Office, tmp_path: Path, seal: Seal
) -> None:
    """An archive opens as WinZip describes it; a sealed one with the command, and both alike."""
    subject, _ = measured(office)
    parts = exported(office, subject, tmp_path, "--format", seal)
    data = (tmp_path / "ada.export").read_bytes()
    if seal is Seal.ZIP:
        assert winzip.opened(data, PASSPHRASE).items() > parts.items()
    else:
        with pytest.raises(zipfile.BadZipFile):
            winzip.opened(data, PASSPHRASE)
    assert export_files.may_be_export(tmp_path / "ada.export")
    assert not export_files.may_be_export(tmp_path / "ada.zip")


def test_a_weak_passphrase_is_refused_before_anything_is_read(
    office: Office, tmp_path: Path
) -> None:
    """What a ZIP archive needs, a sealed export does not."""
    subject, _ = measured(office)
    secret = tmp_path / "weak"
    secret.touch(mode=0o600)
    out = tmp_path / "ada.export"
    argv = ["export", "make", subject, "--out", str(out), "--passphrase-file", str(secret)]
    for weak in ("only sixteen ch.", "zwanzig Zeichen für Ada"):
        secret.write_text(weak)
        with pytest.raises(Refusal, match="a passphrase of a ZIP archive"):
            office.run(*argv)
        assert not out.exists()
    office.run(*argv, "--format", "sealed")
    assert out.exists()


def test_what_the_settings_do_not_say_is_named(office: Office, tmp_path: Path) -> None:
    """The operator learns what the person must be told by another way."""
    subject, _ = measured(office)
    secret = tmp_path / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text(PASSPHRASE)
    made = office.run(
        "export", "make", subject, "--out", str(tmp_path / "ada.export"),
        "--passphrase-file", str(secret),
    )  # fmt: skip
    assert made["unsaid"] == [
        "contact", "dpo", "authority", "sources", "transfers", "automated_decisions",
        "purposes.home-monitoring", "recipients.care-team",
    ]  # fmt: skip


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
    assert not (tmp_path / "ada.export").exists()


@pytest.mark.parametrize("seal", Seal)
def test_an_export_does_not_open_by_guessing_or_damaged(
    office: Office, tmp_path: Path, seal: Seal
) -> None:
    """A wrong passphrase, a truncated file and a flipped bit each give an error, and no output."""
    subject, _ = measured(office)
    exported(office, subject, tmp_path, "--format", seal)
    sealed = (tmp_path / "ada.export").read_bytes()
    (tmp_path / "ada.zip").unlink()
    broken = tmp_path / "broken"
    for data in (sealed[:-1], sealed[: len(sealed) // 2], b"",
                 sealed[:4000] + bytes([sealed[4000] ^ 1]) + sealed[4001:]):  # fmt: skip
        broken.write_bytes(data)
        with pytest.raises(Refused, match="cannot be opened"):
            export_files.unpack(broken, tmp_path / "ada.zip", PASSPHRASE)
    with pytest.raises(Refused, match="cannot be opened"):
        export_files.unpack(tmp_path / "ada.export", tmp_path / "ada.zip", "correct horse battery")
    assert [path.name for path in tmp_path.iterdir() if "zip" in path.name] == []
