"""
Crossing commands: an erasure or a revocation while another command works on the same person or
gateway.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from formats.package import Contents
from tests.fixtures.database import Database
from tests.fixtures.vault import Office, Refusal, measured
from trust.enrolment.service import NotAccepted
from trust.errors import NotFound, TrustError
from trust.rights import export_files

pytestmark = pytest.mark.database

_ERASED = (
    "UPDATE vault.subjects SET wrapped_key = '', sealed = '', erased_at = now() WHERE subject = %s"
)
_REVOKED = "UPDATE vault.agents SET revoked_at = now() WHERE agent = %s"


@pytest.fixture
def other(office: Office) -> Iterator[Office]:
    """A second instance of trust with connections of its own."""
    made = Office(office.settings, office.folder, office.vault, office.telemetry)
    yield made
    made.app.close()


def _cross(
    vault: Database, statement: str, argument: str, work: Callable[[], object]
) -> Exception | None:
    """Run *work* while *statement* is uncommitted; return the error that *work* raised."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            work()
        except (TrustError, Refusal) as exc:
            raised.append(exc)

    worker = threading.Thread(target=run)
    with psycopg.connect(vault.dsn()) as connection:
        connection.execute(statement.encode(), [argument])
        worker.start()
        deadline = time.monotonic() + 60
        while worker.is_alive() and not vault.fetch(
            "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE NOT l.granted AND a.datname = current_database()"
        ):
            assert time.monotonic() < deadline
    worker.join(60)
    assert not worker.is_alive()
    return raised[0] if raised else None


def test_nobody_agrees_while_she_is_erased(office: Office, other: Office) -> None:
    """A consent during an erasure is refused, because its handle could never be opened."""
    subject, agent = measured(office)

    refused = _cross(
        office.vault,
        _ERASED,
        subject,
        lambda: other.accept(subject, agent, binding="C0:FF:EE:00:00:09"),
    )

    assert isinstance(refused, Refusal)
    assert "no such subject" in str(refused)
    assert office.vault.fetch("SELECT count(*) FROM vault.decisions") == [(1,)]


def test_no_export_outlives_an_erasure(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who is erased during an export leaves neither its file nor its record."""
    subject, _ = measured(office)
    write = export_files.write

    def erased_meanwhile(
        path: Path, export: UUID, contents: Contents, lock: export_files.Lock
    ) -> export_files.WrittenExport:
        written = write(path, export, contents, lock)
        office.vault.execute(_ERASED, subject)
        return written

    monkeypatch.setattr(export_files, "write", erased_meanwhile)
    with pytest.raises(NotFound, match="no such subject"):
        office.app.exporter.export(
            UUID(subject),
            tmp_path / "hers",
            "a passphrase of hers",
            available_for=dt.timedelta(days=1),
        )

    assert [path.name for path in tmp_path.iterdir() if "hers" in path.name] == []
    assert office.vault.fetch("SELECT count(*) FROM vault.exports") == [(0,)]


def test_who_is_revoked_meanwhile_is_given_no_certificate(office: Office, other: Office) -> None:
    """A renewal during a revocation is refused, because its certificate would not be revoked."""
    agent, bundle = office.enrol()
    shown = x509.load_pem_x509_certificate((bundle / "agent.crt").read_bytes())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(Ed25519PrivateKey.generate(), None)
        .public_bytes(serialization.Encoding.PEM)
    )

    refused = _cross(
        office.vault,
        _REVOKED,
        agent,
        lambda: other.app.enrolment_service.renew(shown, request=request),
    )

    assert isinstance(refused, NotAccepted)
    assert office.vault.fetch("SELECT count(*) FROM vault.certificates") == [(1,)]
