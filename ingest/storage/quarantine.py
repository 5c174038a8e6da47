"""
The quarantine: envelopes that could neither be stored nor be refused with certainty.

An envelope in quarantine is always sealed; one that came as JSON is sealed to ingest with HPKE
(RFC 9180: DHKEM(X25519), HKDF-SHA256, AES-256-GCM).
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ingest.admission.plan import Plan
from ingest.values.outcome import QuarantineReason

_INFO: Final = b"vitalveil quarantined JSON envelope v1\x00"
_suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class QuarantineLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the quarantine keeps, and for how long."""

    max_per_agent: int = 1000
    """Limit of envelopes for each agent. Above it, bad seals and conflicts are refused."""
    keep_days: float = 30.0
    """Days after which an envelope is deleted from quarantine."""

    def __post_init__(self) -> None:
        if self.max_per_agent < 0 or not 0 < self.keep_days <= 3650:
            raise ValueError(
                "max_per_agent must be at least 0, and keep_days above 0 and at most 3650"
            )


class Kept(msgspec.Struct, frozen=True):
    """A row of the quarantine table, with the envelope index of its delivery."""

    index: int
    agent: str
    spool_id: bytes
    sequence: int
    reason: QuarantineReason
    digest: bytes
    payload: bytes
    received_at: dt.datetime
    expires_at: dt.datetime


Seal = Callable[[bytes], bytes]
"""Seals the payload of a JSON envelope."""


def sealer_to(key: X25519PublicKey) -> Seal:
    """Return a function that seals JSON envelopes, which came in clear text, to *key*."""
    return lambda payload: _suite.encrypt(payload, key, info=_INFO)


def unseal(sealed: bytes, key: X25519PrivateKey) -> bytes:
    """
    Return the JSON envelope that `sealer_to` has sealed.

    Raises:
        cryptography.exceptions.InvalidTag: The envelope was not sealed to *key*.
    """
    return _suite.decrypt(sealed, key, info=_INFO)


def rows(
    plan: Plan,
    indexes: Sequence[int],
    *,
    reason: QuarantineReason | None = None,
    seal: Seal,
    keep_days: float,
) -> Iterator[Kept]:
    """
    Yield the rows of the quarantine for the deliveries *indexes*.

    Deliveries without an identity, and those without a reason for quarantine, are left out.

    Args:
        plan: The plan of the flush.

        indexes: Envelope indexes.

        reason: The reason, if it is not the verdict of the plan.

        seal: Seals payloads that came as JSON.

        keep_days: Days after which the row is deleted.
    """
    for index in indexes:
        one, verdict = plan.opened[index], plan.verdicts[index]
        why = reason or (verdict if isinstance(verdict, QuarantineReason) else None)
        if one.identity is None or why is None:
            continue
        payload = one.delivery.payload
        received_at = dt.datetime.fromtimestamp(one.delivery.received_ms / 1000, tz=dt.UTC)
        yield Kept(
            index,
            *one.identity.spool,
            one.identity.sequence,
            why,
            one.digest,
            seal(payload) if one.is_json else payload,
            received_at,
            received_at + dt.timedelta(days=keep_days),
        )
