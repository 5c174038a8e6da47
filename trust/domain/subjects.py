"""
Subjects: the details that name a person, and how they are sealed.

Each record has its own data key (AES-256-GCM), wrapped by the key-encryption key in the key
backend. Destroying one data key makes the record of one person, and every binding sealed under
that key, unreadable for ever, also in every backup.
"""

import secrets
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import UNSET, UnsetType

from trust.domain.identity.likeness import matricule_likeness, name_likeness
from trust.domain.identity.national import NationalIdentity
from trust.errors import Tampered

DATA_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_BUCKET: Final = 256
_IDENTITY: Final = b"vitalveil identity v1\x00"
_BINDINGS: Final = b"vitalveil bindings v2\x00"
_BINDINGS_V1: Final = b"vitalveil bindings v1\x00"
"""Old form, bound to the handle only. It is no longer written, and no v2 becomes a v1."""


class PersonalDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The details that name a person. Printing or logging them does not show them."""

    name: str
    born: str | None = None
    """Year and month of birth, as 2014-05; an age can be told without the day."""
    identity: NationalIdentity | UnsetType = UNSET
    """Unset if it was not told how the identity was verified; an older release reads it then."""

    def __repr__(self) -> str:
        return "PersonalDetails(…)"

    __str__ = __repr__


def likenesses(details: PersonalDetails, *, key: bytes) -> tuple[bytes, bytes | None]:
    """Return the digests by which *details* are recognised: of the name, and of the matricule."""
    one = details.identity
    name = name_likeness(details.name, details.born, key=key)
    if isinstance(one, UnsetType) or one.matricule is None or one.authority is None:
        return name, None
    return name, matricule_likeness(one.matricule, one.authority, key=key)


def rectified(
    before: PersonalDetails,
    *,
    name: str | None,
    born: str | None,
    identity: NationalIdentity | None,
) -> tuple[PersonalDetails, list[str]]:
    """Return *before* with what is not None, and the names of the fields that changed."""
    after = PersonalDetails(
        before.name if name is None else name,
        before.born if born is None else born,
        before.identity if identity is None else identity,
    )
    fields = [
        field
        for field in PersonalDetails.__struct_fields__
        if getattr(before, field) != getattr(after, field)
    ]
    return after, fields


def new_data_key() -> bytes:
    """Return a random data key for AES-256-GCM, 32 bytes."""
    return secrets.token_bytes(DATA_KEY_BYTES)


def seal(data_key: bytes, plain: bytes, *, bound_to: bytes) -> bytes:
    """Return *plain* sealed under *data_key*; it opens only with the same *bound_to*."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(data_key).encrypt(nonce, plain, bound_to)


def open_sealed(data_key: bytes, sealed: bytes, *, bound_to: bytes, what: str) -> bytes:
    """
    Return the plain bytes of *sealed*; *what* names them in an error.

    Raises:
        Tampered: The bytes were sealed with another key or another *bound_to*, or were changed.
    """
    try:
        return AESGCM(data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise Tampered(what) from None


def seal_identity(identity: PersonalDetails, *, subject: UUID, data_key: bytes) -> bytes:
    """Return *identity* sealed and padded, so that the length does not show that of a name."""
    plain = msgspec.json.encode(identity)
    # JSON ignores white space, so the end of the padding needs no marker.
    plain += b" " * (-len(plain) % _BUCKET)
    return seal(data_key, plain, bound_to=_IDENTITY + subject.bytes)


def open_identity(sealed: bytes, *, subject: UUID, data_key: bytes) -> PersonalDetails:
    """
    Return the identity of *subject*.

    Raises:
        Tampered: The sealed bytes do not open as the identity of this subject.
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
        bindings: The Bluetooth addresses.

        handle: The handle, 16 bytes.

        issued_for: Agent, purpose and decision of the handle; in another row they do not open.

        data_key: The data key of the subject.
    """
    bound_to = _BINDINGS + handle + issued_for
    return seal(data_key, msgspec.json.encode(bindings), bound_to=bound_to)


def open_bindings(
    sealed: bytes, *, handle: bytes, issued_for: bytes, data_key: bytes
) -> list[str]:
    """
    Return the addresses of a subject's sensors.

    Raises:
        Tampered: The sealed bytes do not open as the bindings of this handle.
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
