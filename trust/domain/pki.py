"""
The certificates of the system: one CA, a certificate for each service and agent, one CRL.

Pure: keys, certificates and the time come in as values and go out as values (RFC 5280). Ed25519
keys, because TLS 1.3 is all we speak. The common name of a certificate is its holder's MQTT user.
"""

import datetime as dt
import enum
import ipaddress
from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCKS_APART = dt.timedelta(minutes=5)
"""How far a peer's clock may be from ours."""


PROBES_BELOW = 1 << 64
"""Serial numbers below it are of certificates that were made to be on one revocation list."""


class CertificateRole(enum.StrEnum):
    """What a certificate may be used for."""

    SERVER = "server"
    CLIENT = "client"


class Holder(msgspec.Struct, frozen=True):
    """A private key with its certificate."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    def key_pem(self) -> bytes:
        """Return the private key, PKCS #8, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def certificate_pem(self) -> bytes:
        """Return the certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def create_ca(*, now: dt.datetime, valid_for: dt.timedelta) -> Holder:
    """Return a new CA."""
    key = Ed25519PrivateKey.generate()
    name = _name("VitalVeil CA")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(now + valid_for)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, None)
    )
    return Holder(key, certificate)


def issue(  # noqa: PLR0913 - what is in a certificate, by name
    ca: Holder,
    common_name: str,
    *,
    role: CertificateRole,
    now: dt.datetime,
    valid_for: dt.timedelta,
    hosts: Iterable[str] = (),
    serial: int | None = None,
) -> Holder:
    """
    Return a new key with a certificate of *ca*.

    Args:
        ca: Who signs.

        common_name: The holder's MQTT user.

        role: Whether it serves TLS or connects to it.

        now: The time of issue.

        valid_for: From *now*.

        hosts: Names and addresses that a server is reached by.

        serial: Its serial number; a random one otherwise.
    """
    key = Ed25519PrivateKey.generate()
    certificate = certify(
        ca,
        key.public_key(),
        common_name,
        role=role,
        term=(now, valid_for),
        hosts=hosts,
        serial=serial,
    )
    return Holder(key, certificate)


def certify(  # noqa: PLR0913 - what is in a certificate, by name
    ca: Holder,
    public_key: Ed25519PublicKey,
    common_name: str,
    *,
    role: CertificateRole,
    term: tuple[dt.datetime, dt.timedelta],
    hosts: Iterable[str] = (),
    serial: int | None = None,
) -> x509.Certificate:
    """
    Return a certificate of *ca* for a key that its holder has made.

    Args:
        ca: Who signs.

        public_key: The holder's.

        common_name: The holder's MQTT user.

        role: Whether it serves TLS or connects to it.

        term: The time of issue, and how long from then it is valid.

        hosts: Names and addresses that a server is reached by.

        serial: Its serial number; a random one otherwise.
    """
    now, valid_for = term
    usage = (
        ExtendedKeyUsageOID.SERVER_AUTH
        if role is CertificateRole.SERVER
        else ExtendedKeyUsageOID.CLIENT_AUTH
    )
    issuer_key_id = ca.certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(ca.certificate.subject)
        .public_key(public_key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(now + valid_for)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id),
            critical=False,
        )
    )
    names = [_general_name(host) for host in hosts]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca.key, None)


def common_name(certificate: x509.Certificate) -> str | None:
    """Return the one name that *certificate* is of, or None."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def revoked_by(ca: Holder, pem: bytes) -> list[tuple[int, dt.datetime]]:
    """
    Return the serial numbers and times of the CRL in *pem*; none where *ca* did not sign it.

    Probes are left out: each is of one list alone.
    """
    try:
        crl = x509.load_pem_x509_crl(pem)
    except ValueError:
        return []
    if not crl.is_signature_valid(ca.key.public_key()):
        return []
    return [
        (entry.serial_number, entry.revocation_date_utc)
        for entry in crl
        if entry.serial_number >= PROBES_BELOW
    ]


def revocation_list(
    ca: Holder,
    revoked: Iterable[tuple[int, dt.datetime]],
    *,
    now: dt.datetime,
    valid_for: dt.timedelta,
) -> bytes:
    """Return the CRL of *ca*, PEM: the serial number and time of each revoked certificate."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(now - CLOCKS_APART)
        .next_update(now + valid_for)
    )
    for serial, revoked_at in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(revoked_at)
            .build()
        )
    return builder.sign(ca.key, None).public_bytes(serialization.Encoding.PEM)
