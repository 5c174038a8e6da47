"""
Index tags: the spool finds envelopes and cursors by them without storing a handle or an address.

A tag is a keyed hash (HMAC-SHA256, truncated). The key is derived from the agent's lease key, and
is not stored in the spool: an address has few unknown bits, so with the key a tag could be
reversed in seconds. A person who has the lease key can open the lease, which names handles and
sensors anyway, so tags reveal nothing more. Tags are the same in every spool of an agent, so that
cursors can be copied from a damaged spool.
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
    Computes the tags of one agent.

    Args:
        lease_key: The agent's private lease key.
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
        """Return the tag of a checkpoint's *label*."""
        return self._tag(b"mark\x00" + label)

    def check(self) -> bytes:
        """Return a tag that identifies the key, to detect another one."""
        return self._tag(b"check\x00")

    def _tag(self, label: bytes) -> bytes:
        return hmac.digest(self._key, label, hashlib.sha256)[:TAG_BYTES]
