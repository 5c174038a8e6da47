"""Periodic jobs and lists of people: one failure affects no other."""

import contextlib
import io
import json
import sys
import time
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography import x509

from tests.fixtures.vault import Office, measured
from tests.support.poisons import POISONS, set_aside
from trust.cli import batch
from trust.cli.arguments import command_line
from trust.cli.registry import ON_VAULT
from trust.composition import App, now
from trust.config import CertificateSettings
from trust.domain.units import Cause
from trust.enrolment.broker_reload import reload_broker
from trust.errors import VaultUnavailable
from trust.maintenance.file_jobs import FileJobs
from trust.maintenance.jobs import Jobs

pytestmark = pytest.mark.database

_EXPORT = "a passphrase of a test"


def _jobs(office: Office, certificates: CertificateSettings) -> FileJobs:
    app = office.app
    app.settings = msgspec.structs.replace(app.settings, certificates=certificates)
    return FileJobs(
        lambda: contextlib.nullcontext(app.vault),
        certificates,
        write_revocations=app.enrolment.write_revocations,
        purge=lambda: app.exporter.purge_each()[1],
        count=lambda failures: None,
    )


def test_a_list_that_cannot_be_written_is_named(office: Office, tmp_path: Path) -> None:
    """
    A list that cannot be written sets the job aside, the broker keeps the old list, and the job
    succeeds later.
    """
    read = tmp_path / "read"
    command = [sys.executable, "-c", f"open({str(read)!r}, 'w')"]
    folder = tmp_path / "broker"
    chosen = CertificateSettings(crl_file=folder / "crl.pem", reload_command=command)
    jobs = _jobs(office, chosen)

    assert not jobs.revocations()
    assert set_aside(office) == {"revocation-list": {Cause.FILE}}
    assert read.exists()
    folder.mkdir()
    assert jobs.revocations()
    assert set_aside(office) == {}


def test_a_list_that_is_damaged_is_not_the_end(office: Office, tmp_path: Path) -> None:
    """A damaged list file is rewritten; no certificate is read from it."""
    path = tmp_path / "crl.pem"
    path.write_bytes(b"-----BEGIN X509 CRL-----\nnothing\n-----END X509 CRL-----\n")

    _jobs(office, CertificateSettings(crl_file=path)).revocations()

    assert set_aside(office) == {}
    assert len(x509.load_pem_x509_crl(path.read_bytes())) == 0


def test_a_command_that_hangs_is_ended_with_all_it_began(tmp_path: Path) -> None:
    """
    A command that hangs is killed with all its child processes, even if one keeps its
    output open.
    """
    beat = tmp_path / "beat"
    script = f"while :; do date +%s%N > {beat}; sleep 0.05; done & sleep 60"
    started = time.monotonic()

    problem = reload_broker(["sh", "-c", script], timeout_s=0.5)

    assert problem is not None
    assert time.monotonic() - started < 10
    last = beat.read_text()
    time.sleep(0.3)  # Only waiting can show that something does not happen.
    assert beat.read_text() == last


def test_a_command_that_fails_is_named(office: Office, tmp_path: Path) -> None:
    """
    If the reload command fails, the list is written, and the operator is told that the broker has
    not read it.
    """
    chosen = CertificateSettings(crl_file=tmp_path / "crl.pem", reload_command=["false"])

    assert not _jobs(office, chosen).revocations()

    assert set_aside(office) == {"broker-reload": {Cause.COMMAND}}
    assert (tmp_path / "crl.pem").exists()


def test_an_export_that_cannot_be_deleted_keeps_no_other(office: Office, tmp_path: Path) -> None:
    """
    An export that cannot be deleted is named by its id and tried again; all others are
    deleted.
    """
    subject, _ = measured(office)
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(_EXPORT)
    files = [tmp_path / str(n) for n in range(3)]
    made = [
        office.run("export", "make", subject, "--out", str(file), "--passphrase-file",
                   str(passphrase))["export"]
        for file in files
    ]  # fmt: skip
    office.vault.execute("UPDATE vault.exports SET expires_at = now() - interval '1 s'")
    files[1].unlink()
    files[1].mkdir()

    assert not _jobs(office, CertificateSettings()).exports()

    assert office.vault.fetch("SELECT kind, unit, cause FROM vault.set_aside") == [
        ("export", made[1], "file")
    ]
    assert not files[0].exists()
    assert not files[2].exists()
    files[1].rmdir()
    assert _jobs(office, CertificateSettings()).exports()
    assert set_aside(office) == {}


def test_a_vault_that_is_away_is_no_jobs_fault(office: Office) -> None:
    """An unreachable vault sets no job aside, and the job is tried again."""

    def away() -> None:
        raise VaultUnavailable("OperationalError")

    assert not Jobs(office.app.vault, count=lambda failures: None).do("retention", away)
    assert set_aside(office) == {}


@pytest.mark.parametrize("name", ["a policy that is no document"])
def test_retention_of_one_purpose_stops_no_other(
    office: Office, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A purpose whose retention time is unknown does not stop the retention of others; its partitions
    are kept.
    """
    subject, agent = measured(office)
    POISONS[name][0](office, agent, subject)
    office.app.close()
    office.app = App(office.settings)

    dropped: list[object] = []
    monkeypatch.setattr(
        office.app.stores, "drop_partitions", lambda **until: dropped.append(until)
    )

    retained = office.run("retention", "run")

    assert list(retained["rows"]) == ["home-monitoring"]
    assert [f["cause"] for f in retained["failures"]] == ["tampered"]
    assert dropped == []


def test_a_row_that_cannot_be_read_keeps_no_request_from_its_date(office: Office) -> None:
    """Readable requests and reminders are listed, and unreadable ones are named by their id."""
    subject, _ = measured(office)
    added = [
        office.run("request", "add", "--subject", subject, "--kind", "access",
                   "--received-at", now().isoformat())["request"]
        for _ in range(3)
    ]  # fmt: skip
    ward = office.add_subject("Child Canary")
    office.run("representative", "add", "--subject", ward, "--role", "guardian",
               "--name", "Parent", "--shown-by", "family-record-book")  # fmt: skip
    office.vault.execute(
        "UPDATE vault.requests SET due_at = 'infinity' WHERE request = %s", added[0]
    )
    office.vault.execute("UPDATE vault.requests SET kind = 'wish' WHERE request = %s", added[1])
    with office.app.vault.transaction() as records:
        records.subjects.rectify(UUID(ward), name=None, born="2014-13")
    office.vault.execute(
        "INSERT INTO vault.decisions"
        " (decision, subject, purpose, version, document, key_id, signature)"
        " SELECT gen_random_uuid(), %s, purpose, version, document, key_id, signature"
        " FROM vault.decisions", ward,
    )  # fmt: skip

    listed = office.run("request", "list")

    assert {row["request"] for row in listed["rows"]} == {added[2]}
    assert set(listed["unreadable_requests"]) == {added[0], added[1]}
    assert listed["unreadable_subjects"] == [ward]
    assert listed["problems"] == 3


async def test_a_line_of_a_batch_costs_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A line of a batch that raises an unexpected error gets its type as the answer, and the next
    line is read.
    """

    def broken(*_: object) -> None:
        raise LookupError("Ada Canary")

    faulty = msgspec.structs.replace(ON_VAULT["subject list"], run=broken)
    parse = command_line.parse
    monkeypatch.setattr(
        command_line,
        "parse",
        lambda argv: (
            msgspec.structs.replace(line, command=faulty)
            if (line := parse(argv)).command is ON_VAULT["subject list"]
            else line
        ),
    )
    lines = "".join(json.dumps(argv) + "\n" for argv in (["subject", "list"], ["agent", "list"]))
    said: list[str] = []

    refused = await batch.run(office.app, lines=io.StringIO(lines), out=said.append)

    answers = [json.loads(one) for one in said]
    assert refused == 1
    assert [one["ok"] for one in answers] == [False, True]
    assert "LookupError" in answers[0]["error"]
    assert "Canary" not in answers[0]["error"] + caplog.text
