"""An attacker who can write to the vault, without trust's keys, gains nothing."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID

from tests.fixtures.vault import Office, Refusal, measured
from trust.composition import now
from trust.domain import pki
from trust.domain.units import Cause, Failure, Unit, UnitKind, gateway
from trust.enrolment.service import NotAccepted

pytestmark = pytest.mark.database

_PASSPHRASE = "a passphrase of a test"


def _certificate(bundle: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((bundle / "agent.crt").read_bytes())


def _request() -> bytes:
    """Return a request for a certificate, as a gateway makes it."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM)


def test_a_lease_is_sealed_to_no_other_key(office: Office) -> None:
    """If a gateway's lease key is replaced in the vault, no lease is ever sealed to it."""
    _, agent = measured(office)
    other, _ = office.enrol()
    newest = "SELECT lease_version FROM vault.agents WHERE agent = %s"
    foreign = X25519PrivateKey.generate().public_key().public_bytes_raw()
    office.vault.execute("UPDATE vault.agents SET lease_key = %s WHERE agent = %s", foreign, agent)

    done = office.app.reconciler.reconcile([agent], renew=True)
    assert done.failures == {agent: {Failure(gateway(agent), Cause.REGISTRATION)}}
    office.app.reconciler.reconcile([other], renew=True)

    assert office.vault.fetch(newest, agent) == [(1,)]


def test_a_handle_stays_at_its_gateway(office: Office) -> None:
    """
    If a handle is moved to another gateway in the vault, that gateway's lease does not name its
    sensors.
    """
    ada, _ = measured(office)
    other, bundle = office.enrol()
    office.accept(office.add_subject("Bo"), other)
    office.vault.execute("UPDATE vault.handles SET agent = %s, epoch = 7 WHERE agent <> %s",
                         other, other)  # fmt: skip

    done = office.app.reconciler.reconcile([other], renew=True)

    assert done.failures == {other: {Failure(Unit(UnitKind.PERSON, ada), Cause.TAMPERED)}}
    assert len(office.lease(other, bundle).grants) == 1


def test_a_certificate_is_renewed_for_whom_it_names(office: Office) -> None:
    """
    If the vault assigns a certificate to another agent, its holder gets no certificate of that
    agent.
    """
    (ada, _), (_, bundle) = office.enrol(), office.enrol()
    shown = _certificate(bundle)
    assert office.app.enrolment_service.renew(shown, request=_request()).agent == pki.common_name(
        shown
    )
    office.vault.execute("UPDATE vault.certificates SET agent = %s", ada)

    with pytest.raises(NotAccepted):
        office.app.enrolment_service.renew(shown, request=_request())


def test_who_is_on_the_list_stays_on_it(office: Office, tmp_path: Path) -> None:
    """
    A revocation that a restored vault lacks is read from the CRL, and the renewal is refused
    again.
    """
    _, agent = measured(office)
    bundle = tmp_path / "again"
    office.run("pki", "issue-agent", agent, "--out", str(bundle))
    crl = tmp_path / "crl.pem"
    office.run("pki", "revoke", agent, "--crl", str(crl), "--yes")
    for statement in (
        "DELETE FROM vault.revocations",
        "UPDATE vault.agents SET revoked_at = NULL",
        "UPDATE vault.handles SET ended_at = NULL",
    ):
        office.vault.execute(statement)

    assert office.app.enrolment.write_revocations(crl) == 2

    with pytest.raises(NotAccepted):
        office.app.enrolment_service.renew(_certificate(bundle), request=_request())
    assert office.vault.fetch("SELECT count(*) FROM vault.handles WHERE ended_at IS NULL") == [
        (0,)
    ]
    assert office.telemetry.fetch("SELECT revoked_at IS NOT NULL FROM vv.agents") == [(True,)]


def test_a_certificate_that_the_vault_does_not_know_stays_on_the_list(
    office: Office, tmp_path: Path
) -> None:
    """A revoked certificate that the restored vault does not know remains on the CRL."""
    agent, bundle = office.enrol()
    crl = tmp_path / "crl.pem"
    office.run("pki", "revoke", agent, "--crl", str(crl), "--yes")
    office.vault.execute(
        "DELETE FROM vault.revocations; DELETE FROM vault.certificates; DELETE FROM vault.agents"
    )

    office.app.enrolment.write_revocations(crl)

    listed = x509.load_pem_x509_crl(crl.read_bytes())
    serial = _certificate(bundle).serial_number
    assert listed.get_revoked_certificate_by_serial_number(serial) is not None


def test_a_list_of_another_ca_is_not_believed(office: Office, tmp_path: Path) -> None:
    """A CRL of another CA is ignored, so that write access to its file revokes no gateway."""
    _, bundle = office.enrol()
    stranger = pki.create_ca(now=now(), valid_for=dt.timedelta(days=1))
    serial = _certificate(bundle).serial_number
    crl = tmp_path / "crl.pem"
    crl.write_bytes(
        pki.revocation_list(stranger, [(serial, now())], now=now(), valid_for=dt.timedelta(days=1))
    )

    assert office.app.enrolment.write_revocations(crl) == 0


def test_only_exports_are_deleted(office: Office, tmp_path: Path) -> None:
    """
    An export's record that names another file deletes nothing, and does not affect other
    exports.
    """
    subject, _ = measured(office)
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(_PASSPHRASE)
    key = office.settings.keys.folder / "signing.key"
    kept = key.read_bytes()
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        made: dict[str, Any] = office.run(
            "export", "make", subject, "--out", str(file), "--passphrase-file", str(passphrase)
        )
        assert made["file"] == str(file)
    office.vault.execute(
        "UPDATE vault.exports SET expires_at = now() - CASE WHEN file = %s"
        " THEN interval '2 s' ELSE interval '1 s' END", str(files[0]),
    )  # fmt: skip
    office.vault.execute("UPDATE vault.exports SET file = %s WHERE file = %s",
                         str(key), str(files[0]))  # fmt: skip

    with pytest.raises(Refusal, match="not what the record says"):
        office.run("export", "purge", "--yes")

    assert key.read_bytes() == kept
    assert not files[1].exists()
