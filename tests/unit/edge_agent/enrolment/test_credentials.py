"""A gateway's keys: made on the gateway, private, and replaced completely or not at all."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from edge_agent.enrolment import credentials, enrol
from edge_agent.enrolment.renewal import settle
from edge_agent.errors import CredentialError
from runtime.errors import ConfigError
from runtime.settings import TlsSettings
from trust.domain import pki

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CA = pki.create_ca(now=NOW, valid_for=dt.timedelta(days=10))


def certificate_of(key: Ed25519PrivateKey) -> bytes:
    """Return a certificate of *key*, PEM."""
    certificate = pki.certify(
        CA, key.public_key(), "0123456789abcdef", role=pki.CertificateRole.CLIENT,
        term=(NOW, dt.timedelta(days=10)),
    )  # fmt: skip
    return pki.Holder(key, certificate).certificate_pem()


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    """The files of an enrolled gateway."""
    files = TlsSettings(tmp_path / "ca.crt", tmp_path / "agent.crt", tmp_path / "agent.key")
    key = credentials.signing_key(files.key_file)
    credentials.write(files.certificate_file, certificate_of(key), private=False)
    return files


def is_pair(tls: TlsSettings) -> bool:
    """Tell whether certificate and key belong together."""
    key = credentials.signing_key(tls.key_file)
    return credentials.is_pair(tls.certificate_file.read_bytes(), key)


def same(one: credentials.Private, other: credentials.Private) -> bool:
    """Tell whether two private keys are equal: the objects cannot be compared."""
    return one.private_bytes_raw() == other.private_bytes_raw()


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """A key is made once, read again later, and readable by its owner only."""
    made = credentials.signing_key(tmp_path / "agent.key")
    assert same(credentials.signing_key(tmp_path / "agent.key"), made)
    assert (tmp_path / "agent.key").stat().st_mode & 0o777 == 0o600
    lease_key = credentials.lease_key(tmp_path / "lease.key")
    assert same(credentials.lease_key(tmp_path / "lease.key"), lease_key)
    with pytest.raises(CredentialError):
        credentials.lease_key(tmp_path / "agent.key")


def issued_to(key: Ed25519PrivateKey, *names: str) -> bytes:
    """Return a certificate of *key* with these common names, PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), NOW,
        NOW + dt.timedelta(days=1),
    )  # fmt: skip
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("names", "is_owner"),
    [
        pytest.param(["0123456789abcdef"], True, id="this gateway"),
        pytest.param(["0123456789abcdee"], False, id="another gateway"),
        pytest.param(["0123456789ABCDEF"], False, id="another case"),
        pytest.param([], False, id="nobody"),
        pytest.param(["0123456789abcdef", "0123456789abcdee"], False, id="two"),
        pytest.param(["ingest"], False, id="a service"),
    ],
)
def test_a_certificate_is_of_the_gateway_of_the_settings(
    tls: TlsSettings, names: list[str], is_owner: bool
) -> None:
    """If it was issued to another, the error says so in words and quotes no id."""
    key = credentials.signing_key(tls.key_file)
    credentials.write(tls.certificate_file, issued_to(key, *names), private=False)
    if is_owner:
        credentials.check_owner(tls.certificate_file, agent="0123456789abcdef")
        return
    with pytest.raises(ConfigError, match="issued to another gateway") as refused:
        credentials.check_owner(tls.certificate_file, agent="0123456789abcdef")
    assert not [name for name in names if name in str(refused.value)]


def test_a_file_without_a_certificate_is_said(tls: TlsSettings) -> None:
    """A file that is missing or damaged is a fault of the settings."""
    tls.certificate_file.write_text("?")
    with pytest.raises(ConfigError, match="holds no certificate"):
        credentials.check_owner(tls.certificate_file, agent="0123456789abcdef")


def test_a_request_is_the_same_each_time(tmp_path: Path) -> None:
    """A repeated request is identical, so that the service recognises it, and proves the key."""
    key = credentials.signing_key(tmp_path / "agent.key")
    request = credentials.certificate_request(key)
    assert credentials.certificate_request(key) == request
    found = x509.load_pem_x509_csr(request.encode())
    assert found.is_signature_valid
    assert found.public_key() == key.public_key()


def test_a_replacement_takes_both(tls: TlsSettings) -> None:
    """After a replacement the new certificate has its new key, and no file is left waiting."""
    new = credentials.signing_key(credentials.next_key(tls.key_file))
    credentials.replace(tls.certificate_file, tls.key_file, certificate_of(new))
    assert is_pair(tls)
    assert same(credentials.signing_key(tls.key_file), new)
    assert not credentials.next_key(tls.key_file).exists()


def test_a_crash_between_the_two_is_finished(tls: TlsSettings) -> None:
    """If a crash comes between certificate and key, the next start completes the replacement."""
    new = credentials.signing_key(credentials.next_key(tls.key_file))
    credentials.write(tls.certificate_file, certificate_of(new), private=False)
    assert not is_pair(tls)

    settle(tls)

    assert is_pair(tls)
    assert same(credentials.signing_key(tls.key_file), new)
    settle(tls)
    assert is_pair(tls)


def test_a_crash_before_the_certificate_changes_nothing(tls: TlsSettings) -> None:
    """If a crash comes before the certificate, the waiting key is used for the next attempt."""
    waiting = credentials.signing_key(credentials.next_key(tls.key_file))
    settle(tls)
    assert is_pair(tls)
    assert same(credentials.signing_key(credentials.next_key(tls.key_file)), waiting)


def test_a_certificate_of_another_key_is_not_taken(tls: TlsSettings) -> None:
    """
    A certificate of another key is rejected, so that a wrong answer cannot lock the
    gateway out.
    """
    credentials.signing_key(credentials.next_key(tls.key_file))
    with pytest.raises(CredentialError):
        credentials.replace(
            tls.certificate_file, tls.key_file, certificate_of(Ed25519PrivateKey.generate())
        )
    assert is_pair(tls)


@pytest.mark.parametrize(("days", "due"), [(0, False), (5, False), (6.1, True), (11, True)])
def test_renewal_is_due_late_in_its_life(tls: TlsSettings, days: float, due: bool) -> None:
    """A certificate is due for renewal after six tenths of its validity."""
    now = NOW + dt.timedelta(days=days)
    assert enrol.is_due(tls, now=now, renew_at=0.6) is due
