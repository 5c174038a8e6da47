"""Certificates: each for one use, signed by one CA, and revocable."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from trust.domain import pki
from trust.domain.pki import CertificateRole

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
CA = pki.create_ca(now=NOW, valid_for=365 * DAY)


def test_server_names_each_of_its_hosts() -> None:
    """A broker's certificate names its hosts and addresses."""
    broker = pki.issue(
        CA,
        "broker",
        role=CertificateRole.SERVER,
        now=NOW,
        valid_for=DAY,
        hosts=["mqtt.example", "::1"],
    ).certificate
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mqtt.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["::1"]
    broker.verify_directly_issued_by(CA.certificate)


def test_client_may_not_serve() -> None:
    """An agent's certificate is not valid for a server."""
    agent = pki.issue(CA, "0123456789abcdef", role=CertificateRole.CLIENT, now=NOW, valid_for=DAY)
    usage = agent.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    names = agent.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert [name.value for name in names] == ["0123456789abcdef"]


def test_leaf_is_no_authority() -> None:
    """An issued certificate is not valid as a CA."""
    agent = pki.issue(CA, "0123456789abcdef", role=CertificateRole.CLIENT, now=NOW, valid_for=DAY)
    leaf = agent.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    root = CA.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (leaf.value.ca, leaf.critical) == (False, True)
    assert (root.value.ca, root.value.path_length, root.critical) == (True, 0, True)


def test_certificate_begins_early_and_ends() -> None:
    """
    A certificate is valid from shortly before its issue, for peers whose clock is slow, until its
    end.
    """
    agent = pki.issue(CA, "0123456789abcdef", role=CertificateRole.CLIENT, now=NOW, valid_for=DAY)
    assert agent.certificate.not_valid_before_utc == NOW - dt.timedelta(minutes=5)
    assert agent.certificate.not_valid_after_utc == NOW + DAY


def test_certificate_of_another_ca_is_not_ours() -> None:
    """A certificate of another CA with the same name is rejected."""
    agent = pki.issue(CA, "0123456789abcdef", role=CertificateRole.CLIENT, now=NOW, valid_for=DAY)
    other = pki.create_ca(now=NOW, valid_for=DAY)
    with pytest.raises(InvalidSignature):
        agent.certificate.verify_directly_issued_by(other.certificate)


def test_revocation_list_holds_exactly_the_revoked() -> None:
    """The CRL is signed by the CA, and has each serial number with its time."""
    crl = x509.load_pem_x509_crl(
        pki.revocation_list(CA, [(7, NOW), (9, NOW)], now=NOW, valid_for=DAY)
    )
    assert crl.is_signature_valid(CA.key.public_key())
    assert sorted(entry.serial_number for entry in crl) == [7, 9]
    assert crl.next_update_utc == NOW + DAY


def test_holder_writes_what_belongs_together() -> None:
    """Key and certificate that a holder writes belong together."""
    agent = pki.issue(CA, "0123456789abcdef", role=CertificateRole.CLIENT, now=NOW, valid_for=DAY)
    certificate = x509.load_pem_x509_certificate(agent.certificate_pem())
    assert certificate.public_key() == agent.key.public_key()
    assert agent.key_pem().startswith(b"-----BEGIN PRIVATE KEY-----")
