"""
The enrolment service: a gateway shows a token, or its certificate, and gets a certificate.

The gateway makes the key pair and keeps the private key. It sends the public key in a request that
proves possession of the private key (PKCS #10). The service chooses the gateway's id and does not
read the name in the request.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime.logs import Log, describe
from trust.domain import lease_keys, pki, tokens
from trust.domain.lease_keys import LEASE_KEY_BYTES
from trust.domain.tokens import ID_BYTES, SECRET_BYTES, Issued, Token
from trust.enrolment.authority import Authority
from trust.errors import Refused, TrustError
from trust.ports import Clock
from trust.reconcile.reconciler import Reconciler
from trust.vault.protocols import Records, Vault
from trust.vault.records.enrolments import Renewal

_log: Final = Log("trust.enrolment.service")


class NotAccepted(Refused):
    """A token or a certificate is not accepted. The error does not tell the caller why."""

    def __init__(self) -> None:
        super().__init__("the token or certificate is not accepted")


class RenewedBefore(NotAccepted):
    """The certificate was renewed before with another key, so two gateways hold it."""


class BadRequest(Refused):
    """The body is no valid certificate request."""


class Admitted(msgspec.Struct, frozen=True):
    """A gateway that was admitted, with its certificate."""

    agent: str
    certificate: bytes


class EnrolmentService:
    """
    Enrols gateways that make their own keys, and renews their certificates.

    Args:
        vault: The vault that registers tokens and agents.

        reconciler: Writes the agents to the telemetry database.

        authority: The CA that signs certificates.

        clock: Returns the current time.

        not_lease_keys: Returns the raw public keys of this system, which no gateway may send as
            its lease key.

        random_bytes: Returns the given number of random bytes.
    """

    def __init__(
        self,
        vault: Vault,
        reconciler: Reconciler,
        authority: Authority,
        *,
        clock: Clock,
        not_lease_keys: Callable[[], Collection[bytes]],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._authority = authority
        self._clock = clock
        self._not_lease_keys = not_lease_keys
        self._random_bytes = random_bytes

    def issue_token(self, *, valid_for: dt.timedelta, sealed: bool) -> tuple[Token, dt.datetime]:
        """Return a new token and the time of its end. The token is shown once and not stored."""
        token = Token(self._random_bytes(ID_BYTES), self._random_bytes(SECRET_BYTES))
        expires_at = self._clock() + valid_for
        with self._vault.transaction() as records:
            records.enrolments.add(
                token, format="sealed" if sealed else "json", expires_at=expires_at
            )
        return token, expires_at

    def enrol(self, text: str, *, request: bytes, lease_key: bytes | None) -> Admitted:
        """
        Enrol the gateway that holds the token in *text*.

        A repeated request gets the same answer, because the first answer may have been lost.

        Raises:
            NotAccepted: The token is unknown, was used for another request, or has expired.
            BadRequest: The certificate request is invalid, or the lease key is missing.
            Unavailable: Try again; the token stays valid for this request.
        """
        public_key = _public_key(request)
        if lease_key is not None:
            self._check_lease_key(lease_key, public_key)
        token = tokens.parse(text) or Token(bytes(ID_BYTES), bytes(SECRET_BYTES))
        digest = hashlib.sha256(request + b"\x00" + (lease_key or b"")).digest()
        with self._vault.transaction() as records:
            # Nothing is raised inside this transaction, because that would roll back the count of
            # failures.
            admitted = self._admit(records, token, digest, public_key, lease_key)
        if admitted is None:
            raise NotAccepted
        if isinstance(admitted, BadRequest):
            raise admitted
        self._reconciler.reconcile([admitted.agent])
        return admitted

    def _check_lease_key(self, lease_key: bytes, public_key: Ed25519PublicKey) -> None:
        if len(lease_key) != LEASE_KEY_BYTES:
            raise BadRequest("a lease key has 32 bytes")
        if not lease_keys.is_lease_key(lease_key):
            raise BadRequest(
                "the lease key is not an X25519 key that anything can be sealed to;"
                " make another key pair"
            )
        own = public_key.public_bytes_raw()
        taken = {own, lease_keys.montgomery(own), *self._not_lease_keys()}
        if lease_key in taken:
            raise BadRequest("the lease key is a key of another use; make a key pair for it alone")

    def _admit(
        self,
        records: Records,
        token: Token,
        digest: bytes,
        public_key: Ed25519PublicKey,
        lease_key: bytes | None,
    ) -> Admitted | BadRequest | None:
        issued = records.enrolments.lock(token.enrolment)
        if not (issued or tokens.NOBODY).accepts(token, at=self._clock()) or issued is None:
            records.enrolments.fail(token.enrolment)
            return None
        if issued.used_at is not None:
            return _same_again(issued, digest)
        if issued.format == "sealed" and lease_key is None:
            return None
        if lease_key is not None and records.agents.has_lease_key(lease_key):
            return BadRequest(
                "another gateway has that lease key; delete agent.key and lease.key of this one,"
                " and enrol it with keys of its own"
            )
        agent = self._random_bytes(8).hex()
        certificate = self._authority.certify_agent(agent, public_key, now=self._clock())
        sealed = issued.format == "sealed"
        records.agents.add(agent, sealed=sealed, lease_key=lease_key if sealed else None)
        pem = _register(records, agent, certificate)
        records.enrolments.use(
            token.enrolment, request_sha256=digest, agent=agent, certificate=pem
        )
        return Admitted(agent, pem)

    def renew(self, shown: x509.Certificate, *, request: bytes) -> Admitted:
        """
        Return a new certificate for the agent of *shown*, the certificate that TLS verified.

        Each certificate is renewed once. A repeated request gets the same answer, because the
        first answer may have been lost. A different request means that two gateways hold the key;
        it is recorded.

        Raises:
            RenewedBefore: The certificate was renewed with another key than that of this request.
            NotAccepted: The certificate belongs to no gateway, has expired, or is revoked.
            BadRequest: The certificate request is invalid.
            Unavailable: No certificate was issued.
        """
        _public_key(request)
        now = self._clock()
        if not shown.not_valid_before_utc <= now < shown.not_valid_after_utc:
            raise NotAccepted
        with self._vault.transaction() as records:
            # The register is checked, because the same CA signs the services' certificates. The
            # name is checked too, because an attacker with write access to the vault could assign
            # a certificate to a different agent.
            owner = records.enrolments.certificate_owner(shown.serial_number)
            if owner is None or owner[1] or owner[0] != pki.common_name(shown):
                raise NotAccepted
            agent = owner[0]
            # The check is repeated under the lock: a gateway that was revoked meanwhile would get
            # a certificate that is on no list.
            if any(known.revoked_at is not None for known in records.agents.lock([agent])):
                raise NotAccepted
            # Nothing is raised from here on, because that would roll back the sign of a clone.
            admitted = self._renew(records, agent, shown.serial_number, request)
        if admitted is None:
            _log.error("renewed_twice")
            raise RenewedBefore
        self._tell(agent)
        return admitted

    def _renew(self, records: Records, agent: str, serial: int, request: bytes) -> Admitted | None:
        digest = hashlib.sha256(request).digest()
        before = records.enrolments.renewal(serial)
        if before is not None:
            if secrets.compare_digest(before.request_sha256, digest):
                return Admitted(agent, before.certificate)
            records.agents.note_clone_sign(agent, "renewed_twice")
            return None
        key = _public_key(request)
        certificate = self._authority.certify_agent(agent, key, now=self._clock())
        pem = _register(records, agent, certificate)
        records.enrolments.add_renewal(
            serial, succeeded_by=certificate.serial_number, answer=Renewal(digest, pem)
        )
        records.leases.mark_stale([agent])
        return Admitted(agent, pem)

    def _tell(self, agent: str) -> None:
        """
        Tell ingest the end of *agent*'s certificate; the daemon does so later if that fails
        now.
        """
        try:
            self._reconciler.reconcile([agent])
        except TrustError as exc:
            _log.warning("told_later", error=describe(exc))


def _same_again(issued: Issued, digest: bytes) -> Admitted | None:
    if issued.request_sha256 is None or issued.agent is None or issued.certificate is None:
        return None
    if not secrets.compare_digest(bytes(issued.request_sha256), digest):
        return None
    return Admitted(issued.agent, bytes(issued.certificate))


def _register(records: Records, agent: str, certificate: x509.Certificate) -> bytes:
    records.agents.add_certificate(
        agent, certificate.serial_number, not_after=certificate.not_valid_after_utc
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _public_key(request: bytes) -> Ed25519PublicKey:
    """Return the public key of *request*, whose possession the request proves."""
    try:
        found = x509.load_pem_x509_csr(request)
        is_proved = found.is_signature_valid
        key = found.public_key()
    except Exception:  # noqa: BLE001 - the parser raises what its C code finds; all mean no
        raise BadRequest("not a certificate request in PEM") from None
    if not is_proved or not isinstance(key, Ed25519PublicKey):
        raise BadRequest("the request is not signed by the Ed25519 key that it names")
    # Anyone can make a signature that verifies under a point of low order, and so pose as this
    # gateway.
    if not lease_keys.is_signing_key(key.public_bytes_raw()):
        raise BadRequest("the key of the request is of low order; make another key pair")
    return key
