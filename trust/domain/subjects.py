"""
Subjects: who a person is, and how that is sealed.

Each record has a data key of its own (AES-256-GCM), wrapped by the key-encryption key that the
key backend keeps: destroying one data key makes one person's record, and every binding sealed
under it, unreadable for ever, in each backup too.
"""

import secrets
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trust.errors import Tampered

DATA_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_BUCKET: Final = 256
_IDENTITY: Final = b"vitalveil identity v1\x00"
_BINDINGS: Final = b"vitalveil bindings v2\x00"
_BINDINGS_V1: Final = b"vitalveil bindings v1\x00"
"""Bound to the handle alone: of before. None is made any more, nor can one be made of a v2."""


class PersonalDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What names a person. Shows nothing of itself when printed or logged."""

    name: str
    born: str | None = None
    """Year and month, as 2014-05; the day is not needed to tell an age."""

    def __repr__(self) -> str:
        return "Identity(…)"

    __str__ = __repr__


def new_data_key() -> bytes:
    """Return a random data key."""
    return secrets.token_bytes(DATA_KEY_BYTES)


def seal(data_key: bytes, plain: bytes, *, bound_to: bytes) -> bytes:
    """Return *plain* sealed under *data_key*, to be opened only where *bound_to* is the same."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(data_key).encrypt(nonce, plain, bound_to)


def open_sealed(data_key: bytes, sealed: bytes, *, bound_to: bytes, what: str) -> bytes:
    """
    Return what was sealed.

    Raises:
        Tampered: Another key sealed it, it was changed, or it belongs elsewhere.
    """
    try:
        return AESGCM(data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise Tampered(what) from None


def seal_identity(identity: PersonalDetails, *, subject: UUID, data_key: bytes) -> bytes:
    """Return *identity* sealed; its length is padded, since names differ in theirs."""
    plain = msgspec.json.encode(identity)
    # JSON ignores white space, so padding needs no mark.
    plain += b" " * (-len(plain) % _BUCKET)
    return seal(data_key, plain, bound_to=_IDENTITY + subject.bytes)


def open_identity(sealed: bytes, *, subject: UUID, data_key: bytes) -> PersonalDetails:
    """
    Return the identity of *subject*.

    Raises:
        Tampered: It does not open as this subject's.
    """
    plain = open_sealed(
        data_key, sealed, bound_to=_IDENTITY + subject.bytes, what="a subject's record"
    )
    try:
        return msgspec.json.decode(plain, type=PersonalDetails)
    except msgspec.MsgspecError:
        raise Tampered("a subject's record") from None


def seal_bindings(
    bindings: list[str], *, handle: bytes, issued_for: bytes, data_key: bytes
) -> bytes:
    """
    Return the addresses of a subject's sensors, sealed.

    Args:
        bindings: The addresses.

        handle: Of 16 bytes.

        issued_for: Where and for what: in the row of another gateway they do not open.

        data_key: The subject's.
    """
    bound_to = _BINDINGS + handle + issued_for
    return seal(data_key, msgspec.json.encode(bindings), bound_to=bound_to)


def open_bindings(
    sealed: bytes, *, handle: bytes, issued_for: bytes, data_key: bytes
) -> list[str]:
    """
    Return the addresses of a subject's sensors.

    Raises:
        Tampered: They do not open as this handle's.
    """
    what = "a handle's bindings"
    try:
        plain = open_sealed(data_key, sealed, bound_to=_BINDINGS + handle + issued_for, what=what)
    except Tampered:
        plain = open_sealed(data_key, sealed, bound_to=_BINDINGS_V1 + handle, what=what)
    try:
        return msgspec.json.decode(plain, type=list[str])
    except msgspec.MsgspecError:
        raise Tampered(what) from None
