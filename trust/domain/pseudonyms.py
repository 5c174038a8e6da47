"""
Pseudonyms: the name of a person in the telemetry database, for one purpose and one epoch.

A pseudonym is the first 128 bits of HMAC-SHA-256 over length-prefixed fields. HKDF derives the key
of each purpose and epoch from a root key. Without the root key it is impossible to make a
pseudonym, to check a guess, or to match the pseudonyms of two purposes. An unkeyed hash of a
device address is no pseudonym: a computer searches all addresses of a vendor in seconds.
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
_SOURCE_LABEL: Final = b"vitalveil source v1"
_KEY_LABEL: Final = b"vitalveil pseudonym key v1"


class Pseudonym(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """128 bits that stand for a person. Printing or logging a pseudonym does not show them."""

    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != PSEUDONYM_BYTES:
            raise ValueError(f"a pseudonym has {PSEUDONYM_BYTES} bytes")

    def __repr__(self) -> str:
        return "Pseudonym(…)"

    __str__ = __repr__


def _prefixed(*fields: bytes) -> bytes:
    # Without the lengths, ("ab", "c") and ("a", "bc") would be the same input.
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def derive_key(root_key: bytes, *, purpose: str, epoch: int) -> bytes:
    """Return the key, derived from *root_key*, of the pseudonyms of *purpose* in *epoch*."""
    if len(root_key) != ROOT_KEY_BYTES:
        raise ValueError(f"a root key has {ROOT_KEY_BYTES} bytes")
    info = _prefixed(_KEY_LABEL, purpose.encode(), str(epoch).encode())
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(root_key)


def pseudonymise(
    subject: UUID, *, key: bytes, controller: str, purpose: str, epoch: int
) -> Pseudonym:
    """
    Return the pseudonym of *subject* for *purpose* in *epoch*.

    Args:
        subject: The random id of the subject in the vault; never a name, number or address.

        key: The key from `derive_key` for the same purpose and epoch.

        controller: The name of the controller (GDPR art. 4(7)).

        purpose: The name without the version: a later policy must not split a series.

        epoch: The number of the key epoch.
    """
    fields = _prefixed(
        _LABEL, controller.encode(), purpose.encode(), str(epoch).encode(), subject.bytes
    )
    return Pseudonym(hmac.digest(key, fields, "sha256")[:PSEUDONYM_BYTES])


def source_of(binding: str, pseudonym: Pseudonym, *, key: bytes) -> int:
    """
    Return the number of a sensor among the sensors of one person and purpose, 1 to 2^63 - 1.

    It is the same at each gateway, so that a reading that two gateways heard is one reading. It is
    keyed like a pseudonym: only with the key can anyone tell which sensor it stands for.

    Args:
        binding: The address of the sensor, with the user that it measures if it has several.

        pseudonym: The pseudonym of the person.

        key: The key that the pseudonym was made with.
    """
    fields = _prefixed(_SOURCE_LABEL, pseudonym.value, binding.encode())
    return int.from_bytes(hmac.digest(key, fields, "sha256")[:8], "big") >> 1 or 1
