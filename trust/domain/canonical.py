"""
Canonical documents: a value as RFC 8785 JSON, its digest, and what of it is signed.

Two documents are equal when their canonical bytes are, so a digest or a signature of them is one
of their meaning and not of their spelling.
"""

import hashlib
from typing import Any, Final, TypeVar

import msgspec
import rfc8785

from trust.errors import Tampered

T = TypeVar("T")

_CONTEXT: Final = b"vitalveil document v1\x00"


def encode(value: msgspec.Struct) -> bytes:
    """Return *value* as canonical JSON."""
    builtins: dict[str, Any] = msgspec.to_builtins(value)
    return rfc8785.dumps(builtins)


def decode(document: bytes, kind: type[T], *, what: str) -> T:
    """
    Return the value that *document* spells.

    Args:
        document: Canonical JSON.

        kind: What it should be.

        what: Its name in an error.

    Raises:
        Tampered: It is no such document.
    """
    try:
        return msgspec.json.decode(document, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Tampered(what) from None


def digest(document: bytes) -> bytes:
    """Return the SHA-256 of *document*."""
    return hashlib.sha256(document).digest()


def to_sign(kind: str, document: bytes) -> bytes:
    """
    Return what a signature of *document* covers.

    The kind stands in it, so that a signed policy can never be shown as a signed decision.
    """
    return _CONTEXT + kind.encode() + b"\x00" + document
