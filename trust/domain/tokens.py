"""
One-time tokens of enrolment: an identifier of 64 bits and a secret proof of 192 bits.

The vault keeps only a hash of the proof, so a dump of the vault enrols no gateway. A proof of 192
random bits cannot be found by search, so the hash needs no salt and no work factor.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from typing import Final

import msgspec

ID_BYTES: Final = 8
SECRET_BYTES: Final = 24
MAX_FAILURES: Final = 5
"""Number of wrong proofs after which a token is no longer accepted."""


class Token(msgspec.Struct, frozen=True):
    """The token that a technician brings to a gateway. Printing it does not show it."""

    enrolment: bytes
    secret: bytes

    def format(self) -> str:
        """Return the token as text that a technician types or pastes."""
        return base64.b32encode(self.enrolment + self.secret).decode().rstrip("=")

    @property
    def secret_sha256(self) -> bytes:
        """SHA-256 of the proof, which the vault keeps."""
        return hashlib.sha256(self.secret).digest()

    def __repr__(self) -> str:
        return "Token(…)"


class Issued(msgspec.Struct, frozen=True):
    """The record of a token in the vault."""

    enrolment: bytes
    secret_sha256: bytes
    format: str
    expires_at: dt.datetime
    failures: int
    used_at: dt.datetime | None
    request_sha256: bytes | None
    agent: str | None
    certificate: bytes | None

    def accepts(self, token: Token, *, at: dt.datetime) -> bool:
        """Tell, in constant time, whether *token* matches this record and is still valid."""
        is_proof = hmac.compare_digest(self.secret_sha256, token.secret_sha256)
        return is_proof & (self.failures < MAX_FAILURES) & (at < self.expires_at)

    def __repr__(self) -> str:
        return "Issued(…)"


NOBODY: Final = Issued(
    bytes(ID_BYTES), bytes(32), "sealed", dt.datetime.min.replace(tzinfo=dt.UTC),
    MAX_FAILURES, None, None, None, None,
)  # fmt: skip
"""Compared when no such token exists, so that the answer takes the same time."""


def parse(text: str) -> Token | None:
    """Return the token in *text*, or None if *text* is no token."""
    packed = "".join(text.split()).replace("-", "").upper()
    try:
        found = base64.b32decode(packed + "=" * (-len(packed) % 8))
    except (binascii.Error, ValueError):
        return None
    if len(found) != ID_BYTES + SECRET_BYTES:
        return None
    return Token(found[:ID_BYTES], found[ID_BYTES:])
