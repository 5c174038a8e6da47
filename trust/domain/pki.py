"""
The certificates of the system: one CA, one certificate for each service and agent, and one CRL.

Pure: keys, certificates and the time are passed in and returned as values (RFC 5280). All keys are
Ed25519, because all connections use TLS 1.3. The common name of a certificate is the MQTT user of
its holder.
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
"""Largest tolerated difference between the clocks of two peers."""


PROBES_BELOW = 1 << 64
"""Lower serial numbers belong to probe certificates, made to be on one revocation list."""


class CertificateRole(enum.StrEnum):
    """What a certificate may be used for."""

    SERVER = "server"
    CLIENT = "client"


class Holder(msgspec.Struct, frozen=True):
    """A private key and the certificate of its public key."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    def key_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS #8, in PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def certificate_pem(self) -> bytes:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def create_ca(*, now: dt.datetime, valid_for: dt.timedelta) -> Holder:
    """Return a new key with a self-signed CA certificate, valid from *now* for *valid_for*."""
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
    Return a new key with a certificate that *ca* signs.

    Args:
        ca: The CA that signs the certificate.

        common_name: The MQTT user of the holder.

        role: Whether the holder is a TLS server or a TLS client.

        now: The time of issue.

        valid_for: How long the certificate is valid, from *now*.

        hosts: DNS names and IP addresses of a server.

        serial: The serial number; random if None.
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
    Return a certificate, signed by *ca*, for a key that the holder made.

    Args:
        ca: The CA that signs the certificate.

        public_key: The public key of the holder.

        common_name: The MQTT user of the holder.

        role: Whether the holder is a TLS server or a TLS client.

        term: The time of issue, and how long the certificate is valid from then.

        hosts: DNS names and IP addresses of a server.

        serial: The serial number; random if None.
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
    """Return the common name of *certificate*; None unless there is exactly one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def revoked_by(ca: Holder, pem: bytes) -> list[tuple[int, dt.datetime]]:
    """
    Return the serial numbers and times in the CRL in *pem*; none if *ca* did not sign the CRL.

    Probe certificates are left out: each probe belongs to one list only.
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
    """Return the CRL of *ca* in PEM, from (serial number, time) of each revoked certificate."""
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
