"""
Seals bodies into envelopes for the spool, under a session key that only this process knows.

A new key is made when the lease changes the padding, which is fixed when a key is wrapped.
Sequences continue to grow, so that no nonce is used twice under either key.
"""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from edge_agent.ports import Sealed
from edge_agent.values.priority import priority_of
from wire.envelope import Body, encode_envelope
from wire.sealing import SESSION_KEY_BYTES, Sealer


class Seal:
    """
    Seals bodies for one spool.

    Args:
        agent: The id of this agent.

        spool_id: The id of the spool, 16 bytes.

        ingest_key: Ingest's public key.

        random_bytes: Returns that many bytes of a cryptographic random generator.
    """

    def __init__(
        self,
        *,
        agent: str,
        spool_id: bytes,
        ingest_key: X25519PublicKey,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._agent = agent
        self._spool_id = spool_id
        self._ingest_key = ingest_key
        self._random_bytes = random_bytes
        self._bucket_bytes = 0
        self._sealer: Sealer | None = None

    def seal(self, body: Body, *, sequence: int, bucket_bytes: int) -> Sealed:
        """Return *body* as envelope *sequence*, padded to a multiple of *bucket_bytes*."""
        if self._sealer is None or bucket_bytes != self._bucket_bytes:
            self._sealer = Sealer(
                agent=self._agent,
                spool_id=self._spool_id,
                session_key=self._random_bytes(SESSION_KEY_BYTES),
                ingest_key=self._ingest_key,
                bucket_bytes=bucket_bytes,
            )
            self._bucket_bytes = bucket_bytes
        envelope = self._sealer.seal(body, sequence=sequence)
        worth = max(priority_of(block.quantity) for block in body.blocks)
        return Sealed(sequence, body.handle, len(body), encode_envelope(envelope), worth)
