"""
One-time tokens of enrolment: 64 bits to find one by, 192 bits that prove it.

The vault keeps a hash of the proof only, so its dump enrols nobody. A proof of 192 random bits is
searched by nobody either, so the hash needs no salt and no cost.
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
"""Wrong proofs that a token survives."""


class Token(msgspec.Struct, frozen=True):
    """What a technician carries to a gateway. Shows nothing of itself when printed or logged."""

    enrolment: bytes
    secret: bytes

    def format(self) -> str:
        """Return it as it is typed or pasted."""
        return base64.b32encode(self.enrolment + self.secret).decode().rstrip("=")

    @property
    def secret_sha256(self) -> bytes:
        """What the vault keeps."""
        return hashlib.sha256(self.secret).digest()

    def __repr__(self) -> str:
        return "Token(…)"


class Issued(msgspec.Struct, frozen=True):
    """A token, as the vault knows it."""

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
        """Tell whether *token* is this one and still counts; takes the same time either way."""
        is_proof = hmac.compare_digest(self.secret_sha256, token.secret_sha256)
        return is_proof & (self.failures < MAX_FAILURES) & (at < self.expires_at)

    def __repr__(self) -> str:
        return "Issued(…)"


NOBODY: Final = Issued(
    bytes(ID_BYTES), bytes(32), "sealed", dt.datetime.min.replace(tzinfo=dt.UTC),
    MAX_FAILURES, None, None, None, None,
)  # fmt: skip
"""Compared with when there is no such token, so that its absence takes no less time."""


def parse(text: str) -> Token | None:
    """Return the token that *text* spells, or None."""
    packed = "".join(text.split()).replace("-", "").upper()
    try:
        found = base64.b32decode(packed + "=" * (-len(packed) % 8))
    except (binascii.Error, ValueError):
        return None
    if len(found) != ID_BYTES + SECRET_BYTES:
        return None
    return Token(found[:ID_BYTES], found[ID_BYTES:])
