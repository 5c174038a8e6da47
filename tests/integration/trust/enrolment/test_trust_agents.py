"""Gateways in the vault and in the telemetry database: enrolled, certified again, revoked."""

from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.fixtures.vault import Office, Refusal

pytestmark = pytest.mark.database


PERMISSIONS = """
SELECT p.handle, q.quantity, p.agent, p.withdrawn_at IS NOT NULL, p.step, p.interval_ms,
       p.time_step_ms FROM vv.permissions p JOIN vv.series q USING (series_id)
ORDER BY p.handle, q.quantity
"""


def test_enrolment_alone_registers_the_agent(office: Office) -> None:
    """Ingest knows an agent as soon as it is enrolled, before any person is measured there."""
    agent, bundle = office.enrol()

    assert office.telemetry.fetch("SELECT agent, format, revoked_at FROM vv.agents") == [
        (agent, "sealed", None)
    ]
    assert office.telemetry.fetch("SELECT count(*) FROM vv.leases") == [(0,)]
    assert sorted(path.name for path in bundle.iterdir()) == [
        "agent.crt", "agent.key", "ca.crt", "ingest.pub", "lease.key", "trust.pub",
    ]  # fmt: skip
    assert {path.name for path in bundle.iterdir() if not path.stat().st_mode & 0o077} == {
        "agent.key",
        "lease.key",
    }


def test_revoked_agent_measures_nobody(office: Office, tmp_path: Path) -> None:
    """
    A revocation withdraws the agent's permissions, empties its lease and adds its certificates to
    the CRL.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    office.accept(subject, agent)

    office.run("pki", "revoke", agent, "--yes", "--crl", str(tmp_path / "crl.pem"))

    assert office.lease(agent, bundle).grants == []
    assert office.telemetry.fetch("SELECT revoked_at IS NULL FROM vv.agents") == [(False,)]
    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) == [(0,)]
    assert b"BEGIN X509 CRL" in (tmp_path / "crl.pem").read_bytes()
    with pytest.raises(Refusal, match="revoked"):
        office.accept(subject, agent)


def test_agent_without_our_software_gets_permissions_and_no_lease(office: Office) -> None:
    """A device that sends JSON gets permissions and no lease, because it has no lease key."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol("--format", "json")

    office.accept(subject, agent)

    assert not (bundle / "lease.key").exists()
    assert office.telemetry.fetch("SELECT format FROM vv.agents") == [("json",)]
    assert office.telemetry.fetch("SELECT count(*) FROM vv.permissions") == [(4,)]
    assert office.telemetry.fetch("SELECT version FROM vv.leases") == [(1,)]
    assert office.vault.fetch("SELECT lease FROM vault.agents") == [(None,)]


def test_new_certificate_keeps_the_agent(office: Office, tmp_path: Path) -> None:
    """An agent can get another certificate under its id; a revocation adds both to the CRL."""
    agent, bundle = office.enrol()

    office.run("pki", "issue-agent", agent, "--out", str(tmp_path / "renewed"))
    office.run("pki", "revoke", agent, "--yes", "--crl", str(tmp_path / "crl.pem"))

    crl = x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())
    for folder in (bundle, tmp_path / "renewed"):
        issued = x509.load_pem_x509_certificate((folder / "agent.crt").read_bytes())
        assert crl.get_revoked_certificate_by_serial_number(issued.serial_number) is not None
    with pytest.raises(Refusal, match="revoked"):
        office.run("pki", "issue-agent", agent, "--out", str(tmp_path / "again"))


def test_revocation_without_a_list_still_counts(office: Office, tmp_path: Path) -> None:
    """If the CRL cannot be written, ingest refuses the revoked agent all the same."""
    agent, _ = office.enrol()

    with pytest.raises(Refusal, match="cannot be written"):
        office.run("pki", "revoke", agent, "--yes", "--crl", str(tmp_path / "none" / "crl.pem"))

    assert office.telemetry.fetch("SELECT revoked_at IS NULL FROM vv.agents") == [(False,)]


def test_lease_keys_are_written_for_ingest(office: Office) -> None:
    """
    The lease key of an enrolled agent is written for ingest at once; an agent with JSON
    has none.
    """
    agent, bundle = office.enrol()
    office.enrol("--format", "json")

    assert office.telemetry.fetch("SELECT lease_key FROM vv.agents ORDER BY format") == [
        (None,),
        (_lease_key(bundle),),
    ]
    assert agent


def test_lease_keys_of_before_are_written_later(office: Office) -> None:
    """
    Lease keys of agents from an earlier version are written later, except for a changed
    record.
    """
    office.load_policy()
    subject = office.add_subject()
    enrolled = dict(office.enrol() for _ in range(3))
    for agent in enrolled:
        office.accept(subject, agent)
    changed = sorted(enrolled)[0]
    with psycopg.connect(office.telemetry.dsn()) as connection:
        epoch = connection.execute("SELECT vv.change_permissions()").fetchone()
        connection.execute("UPDATE vv.agents SET lease_key = NULL, changed_epoch = %s", epoch)
    with psycopg.connect(office.vault.dsn()) as connection:
        connection.execute(
            "UPDATE vault.agents SET lease_key = %s WHERE agent = %s", [b"\x01" * 32, changed]
        )

    assert office.app.reconciler.write_lease_keys() == 2
    assert office.app.reconciler.write_lease_keys() == 0
    assert office.telemetry.fetch("SELECT agent, lease_key FROM vv.agents ORDER BY agent") == [
        (agent, None if agent == changed else _lease_key(bundle))
        for agent, bundle in sorted(enrolled.items())
    ]


def _lease_key(bundle: Path) -> bytes:
    key = serialization.load_pem_private_key((bundle / "lease.key").read_bytes(), None)
    assert isinstance(key, X25519PrivateKey)
    return key.public_key().public_bytes_raw()
