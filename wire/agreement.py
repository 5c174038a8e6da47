"""
Keys that only ingest and one agent share. The operator of the broker cannot derive them.

The secret is X25519 (RFC 7748) of ingest's HPKE key and the agent's lease key. Both are static,
because they survive a restart and a session key does not: an agent that starts with a backlog must
be able to check that a receipt comes from ingest. HKDF-SHA256 (RFC 5869) derives one key for each
direction, bound to both public keys and the agent's id, so that no two pairs share a key. A proven
message stays in clear text. The proof is HMAC-SHA-256 (RFC 2104), which needs no nonce.
"""

import enum
import hashlib
import hmac
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wire.errors import WeakKey

KEY_ID_BYTES: Final = 8
PROOF_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
_INFO: Final = b"vitalveil agreement v1\x00"
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class Direction(enum.Enum):
    """What a key proves. A proof for one direction is not valid for the other."""

    RECEIPT = b"receipt of ingest\x00"
    FLOOR = b"floor of agent\x00"


class Agreement(msgspec.Struct, frozen=True, gc=False):
    """The keys that ingest and an agent share under one of ingest's key pairs."""

    key_id: bytes
    """A fingerprint of ingest's key, which names the key and reveals nothing else."""
    receipt_key: bytes
    floor_key: bytes


def key_id(ingest_public: bytes) -> bytes:
    """Return the name of an ingest key: the start of its SHA-256."""
    return hashlib.sha256(ingest_public).digest()[:KEY_ID_BYTES]


def of_ingest(ingest_key: X25519PrivateKey, lease_public: bytes, agent: str) -> Agreement:
    """
    Derive the keys that ingest shares with *agent*, on the side of ingest.

    Args:
        ingest_key: One of ingest's private keys.

        lease_public: The agent's public lease key, 32 bytes, as trust has registered it.

        agent: The id of the agent.

    Raises:
        WeakKey: The agent's key has a small order, so that anyone could compute the secret.
    """
    ingest_public = ingest_key.public_key().public_bytes_raw()
    return _agree(ingest_key, lease_public, (ingest_public, lease_public), agent)


def of_agent(lease_key: X25519PrivateKey, ingest_public: bytes, agent: str) -> Agreement:
    """
    Derive the keys that *agent* shares with ingest, on the side of the agent.

    Args:
        lease_key: The agent's private lease key.

        ingest_public: Ingest's public key, 32 bytes, as the agent pins it.

        agent: The id of the agent.

    Raises:
        WeakKey: Ingest's key has a small order, so that anyone could compute the secret.
    """
    lease_public = lease_key.public_key().public_bytes_raw()
    return _agree(lease_key, ingest_public, (ingest_public, lease_public), agent)


def _agree(
    private: X25519PrivateKey, public: bytes, both: tuple[bytes, bytes], agent: str
) -> Agreement:
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        # The shared secret is all zero (RFC 7748, section 6.1), or the key has not 32 bytes.
        raise WeakKey from None

    def key(direction: Direction) -> bytes:
        info = _INFO + direction.value + b"".join(both) + agent.encode()
        return HKDF(hashes.SHA256(), PROOF_BYTES, salt=None, info=info).derive(secret)

    return Agreement(key_id(both[0]), key(Direction.RECEIPT), key(Direction.FLOOR))


def prove(key: bytes, data: bytes) -> bytes:
    """
    Return the proof that a holder of *key* made *data*: HMAC-SHA-256 (RFC 2104).

    Args:
        key: At most 64 bytes.

        data: The message.
    """
    # RFC 2104, section 2, written out: `hmac.digest` makes OpenSSL look up the algorithm at each
    # call, which takes five times as long, and ingest makes thousands of proofs a second.
    block = key.ljust(_BLOCK_BYTES, b"\x00")
    inner = hashlib.sha256(block.translate(_INNER) + data).digest()
    return hashlib.sha256(block.translate(_OUTER) + inner).digest()


def is_proof(key: bytes, data: bytes, proof: bytes) -> bool:
    """Tell whether *proof* is the proof of *data*, in constant time."""
    return hmac.compare_digest(prove(key, data), proof)
