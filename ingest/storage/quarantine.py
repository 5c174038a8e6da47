"""The quarantine: what could neither be stored nor be refused with certainty. Always sealed."""

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
    """How much the quarantine keeps, and how long."""

    max_per_agent: int = 1000
    """Above it, a bad seal is refused; so is a conflict."""
    keep_days: float = 30.0

    def __post_init__(self) -> None:
        if self.max_per_agent < 0 or not 0 < self.keep_days <= 3650:
            raise ValueError("max_per_agent is at least 0, keep_days above 0 and up to 3650")


class Kept(msgspec.Struct, frozen=True):
    """A row of the quarantine."""

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


def sealer_to(key: X25519PublicKey) -> Seal:
    """Return what seals a JSON envelope, which came in clear, to ingest itself."""
    return lambda payload: _suite.encrypt(payload, key, info=_INFO)


def unseal(sealed: bytes, key: X25519PrivateKey) -> bytes:
    """
    Return the JSON envelope that was sealed.

    Raises:
        cryptography.exceptions.InvalidTag: Not sealed to *key*.
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
    Yield what the quarantine is to keep of the deliveries *indexes*.

    Args:
        plan: The plan they are of.

        indexes: Which.

        reason: Why, when it is not their verdict.

        seal: For those that came in clear.

        keep_days: How long.
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
