"""
Tags: how the spool finds a handle's envelopes and a sensor's cursor without naming either.

A tag is a keyed hash. The key is derived from the agent's lease key and not kept in the spool's
file: an address has few unknown bits, and with the key beside it a tag would be searched back in
seconds. Whoever has the lease key can open the lease, which names handles and sensors anyway, so
that tags tell nobody anything new. A tag is the same in every spool of an agent, so that cursors
can be carried over from a damaged one.
"""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAG_BYTES: Final = 16
_INFO: Final = b"vitalveil spool tags v1\x00"


class Tags:
    """
    Turns labels into tags.

    Args:
        lease_key: The agent's private key.
    """

    def __init__(self, lease_key: X25519PrivateKey) -> None:
        raw = lease_key.private_bytes(
            serialization.Encoding.Raw,
            serialization.PrivateFormat.Raw,
            serialization.NoEncryption(),
        )
        self._key = HKDF(hashes.SHA256(), 32, salt=None, info=_INFO).derive(raw)

    def of_handle(self, handle: bytes) -> bytes:
        """Return the tag of *handle*."""
        return self._tag(b"handle\x00" + handle)

    def of_mark(self, label: bytes) -> bytes:
        """Return the tag of a mark's label."""
        return self._tag(b"mark\x00" + label)

    def check(self) -> bytes:
        """Return what tells this key from another."""
        return self._tag(b"check\x00")

    def _tag(self, label: bytes) -> bytes:
        return hmac.digest(self._key, label, hashlib.sha256)[:TAG_BYTES]
