"""
Pseudonyms: what a person is called in the telemetry database, for one purpose and one epoch.

HMAC-SHA-256 over length-prefixed fields, under a key that HKDF derives per purpose and epoch from
a root key; 128 bits of it. Whoever lacks the root key can neither make one, nor check a guess, nor
match those of two purposes. An unkeyed hash of a device address is no pseudonym: all addresses of
a vendor are searched in seconds.
"""

import hmac
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

PSEUDONYM_BYTES: Final = 16
ROOT_KEY_BYTES: Final = 32
_LABEL: Final = b"vitalveil pseudonym v1"
_KEY_LABEL: Final = b"vitalveil pseudonym key v1"


class Pseudonym(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """128 bits that stand for a person. Shows nothing of itself when printed or logged."""

    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != PSEUDONYM_BYTES:
            raise ValueError(f"a pseudonym has {PSEUDONYM_BYTES} bytes")

    def __repr__(self) -> str:
        return "Pseudonym(…)"

    __str__ = __repr__


def _prefixed(*fields: bytes) -> bytes:
    # Else ("ab", "c") and ("a", "bc") would be one input.
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def derive_key(root_key: bytes, *, purpose: str, epoch: int) -> bytes:
    """Return the key of the pseudonyms of *purpose* in *epoch*."""
    if len(root_key) != ROOT_KEY_BYTES:
        raise ValueError(f"a root key has {ROOT_KEY_BYTES} bytes")
    info = _prefixed(_KEY_LABEL, purpose.encode(), str(epoch).encode())
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(root_key)


def pseudonymise(
    subject: UUID, *, key: bytes, controller: str, purpose: str, epoch: int
) -> Pseudonym:
    """
    Return the pseudonym of *subject*.

    Args:
        subject: The random id of the subject in the vault; never a name, number or address.

        key: That of `derive_key` for the same purpose and epoch.

        controller: Who answers for the processing (GDPR art. 4(7)).

        purpose: Without its version: a later policy does not tear a series apart.

        epoch: Of the keys.
    """
    fields = _prefixed(
        _LABEL, controller.encode(), purpose.encode(), str(epoch).encode(), subject.bytes
    )
    return Pseudonym(hmac.digest(key, fields, "sha256")[:PSEUDONYM_BYTES])
