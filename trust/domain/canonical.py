"""
Canonical documents: a value as RFC 8785 JSON, its digest, and the bytes that are signed.

Two documents are equal exactly when their canonical bytes are equal. So a digest or a signature
depends on the meaning of a document and not on its spelling.
"""

import hashlib
from typing import Any, Final, TypeVar

import msgspec
import rfc8785

from trust.errors import Tampered

T = TypeVar("T")

_CONTEXT: Final = b"vitalveil document v1\x00"


def encode(value: msgspec.Struct) -> bytes:
    """Return *value* as canonical JSON (RFC 8785), in UTF-8."""
    builtins: dict[str, Any] = msgspec.to_builtins(value)
    return rfc8785.dumps(builtins)


def decode(document: bytes, kind: type[T], *, what: str) -> T:
    """
    Return the value that *document* encodes.

    Args:
        document: Canonical JSON.

        kind: The expected type of the value.

        what: The name of the document in an error.

    Raises:
        Tampered: The document does not encode a value of *kind*.
    """
    try:
        return msgspec.json.decode(document, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Tampered(what) from None


def digest(document: bytes) -> bytes:
    """Return the SHA-256 of *document*, 32 bytes."""
    return hashlib.sha256(document).digest()


def to_sign(kind: str, document: bytes) -> bytes:
    """
    Return the bytes that a signature of *document* covers.

    They include the kind, so a signed policy can never be presented as a signed decision.
    """
    return _CONTEXT + kind.encode() + b"\x00" + document
