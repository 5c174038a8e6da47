"""
Enrolment and renewal, on the gateway: the keys are made here, and only their public halves leave.

Both can be interrupted at any point and repeated: the keys stay in the folder, so the request is
the same, and the same request gets the same answer.
"""

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from edge_agent.enrolment import client, credentials
from edge_agent.enrolment.client import Bundle
from edge_agent.errors import CredentialError, DeskRefused
from runtime.causes.files import of_file
from runtime.settings import TlsSettings

_RENEW_PATH: Final = "/v1/renew"
_ENROL_PATH: Final = "/v1/enrol"


class _Enrolling(msgspec.Struct, frozen=True):
    token: str
    request: str
    lease_key: bytes


class _Renewing(msgspec.Struct, frozen=True):
    request: str


def enrol(*, token: str, url: str, ca_file: Path, out: Path) -> str:
    """
    Enrol this gateway; write its keys and certificates into *out*, and return its id.

    Args:
        token: From `vitalveil trust agent enrol`; it can be used once.

        url: Of the enrolment service.

        ca_file: The certificate of the CA that the service, the broker and this gateway share.

        out: A private folder, made if it is missing.

    Raises:
        DeskRefused: The service rejects this token, or the gateway is enrolled already.
        DeskUnavailable: Try again, with the same token and folder.
        CredentialError: A file cannot be written, or holds another kind of key.
    """
    if (out / "agent.crt").exists():
        raise DeskRefused(
            "the folder already holds a certificate, so this gateway is enrolled. "
            "Choose another folder, or erase the gateway first"
        )
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise CredentialError(out.name, f"cannot be made: {of_file(exc)}") from None
    key = credentials.signing_key(out / "agent.key")
    lease_key = credentials.lease_key(out / "lease.key")
    # The same request each time: Ed25519 signs without randomness.
    body = _Enrolling(
        token.strip(),
        credentials.certificate_request(key),
        lease_key.public_key().public_bytes_raw(),
    )
    bundle = client.ask(url, _ENROL_PATH, body, context=client.tls_context(ca_file))
    certificate = bundle.certificate.encode()
    if not credentials.is_pair(certificate, key) or _name(certificate) != bundle.agent:
        raise DeskRefused("the certificate in the answer is not for the key that was made here")
    # The certificate last: its presence says that all other files are complete.
    credentials.write(out / "ca.crt", bundle.ca.encode(), private=False)
    credentials.write(out / "trust.pub", bundle.trust_key.encode(), private=False)
    credentials.write(out / "ingest.pub", bundle.ingest_key.encode(), private=False)
    credentials.write(out / "agent.crt", certificate, private=False)
    return bundle.agent


def is_due(tls: TlsSettings, *, now: dt.datetime, renew_at: float) -> bool:
    """
    Tell whether the certificate has used up the fraction *renew_at* of its life.

    Raises:
        CredentialError: The certificate cannot be read.
    """
    held = credentials.certificate(tls.certificate_file)
    begins, ends = held.not_valid_before_utc, held.not_valid_after_utc
    return now >= begins + (ends - begins) * renew_at


def renew(tls: TlsSettings, *, agent: str, url: str) -> dt.datetime:
    """
    Replace certificate and key by new ones; return when the new certificate expires.

    Args:
        tls: The files in use.

        agent: The id of this gateway.

        url: Of the enrolment service.

    Raises:
        DeskRefused: The service rejects the certificate in use.
        DeskUnavailable: Try again later.
        CredentialError: A file cannot be written; the old pair stays in use.
    """
    credentials.settle(tls.certificate_file, tls.key_file)
    key = credentials.signing_key(credentials.next_key(tls.key_file))
    context = client.tls_context(
        tls.ca_file, certificate_file=tls.certificate_file, key_file=tls.key_file
    )
    body = _Renewing(credentials.certificate_request(key))
    bundle: Bundle = client.ask(url, _RENEW_PATH, body, context=context)
    certificate = bundle.certificate.encode()
    if bundle.agent != agent or _name(certificate) != agent:
        raise DeskRefused("the certificate in the answer belongs to another gateway")
    credentials.replace(tls.certificate_file, tls.key_file, certificate)
    return credentials.certificate(tls.certificate_file).not_valid_after_utc


def _name(certificate_pem: bytes) -> str:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        return ""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""
