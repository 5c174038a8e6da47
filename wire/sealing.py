"""
Sealing: only ingest can read the envelopes of an agent, and a changed envelope does not open.

A random session key, kept only in memory, is wrapped once to ingest's public key with HPKE (RFC
9180, base mode: X25519, HKDF-SHA256, AES-256-GCM). Each body is encrypted under it with
AES-256-GCM; the nonce is the sequence, and the associated data are the agent and the outer fields.
So an agent cannot read its own spool after a restart, an envelope cannot be moved to another
agent, spool or sequence, and ingest computes X25519 once for each session, not for each envelope.
"""

import struct
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wire.envelope import (
    SPOOL_ID_BYTES,
    SUITE_X25519,
    VERSION,
    Body,
    Envelope,
    decode_body,
    encode_body,
)
from wire.errors import BadSeal, Malformed, SequenceReused

SESSION_KEY_BYTES: Final = 32
DEFAULT_BUCKET_BYTES: Final = 128
_NONCE_BYTES: Final = 12
_PAD_MARK: Final = 0x80
_OUTSIDE: Final = struct.Struct(">BB16s16sQ")
_INFO: Final = b"vitalveil envelope session key v1\x00"

_suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def pad(data: bytes, bucket_bytes: int) -> bytes:
    """Return *data* padded to a multiple of *bucket_bytes* (ISO/IEC 9797-1, padding method 2)."""
    marked = data + bytes([_PAD_MARK])
    return marked + bytes(-len(marked) % bucket_bytes)


def unpad(data: bytes) -> bytes:
    """
    Return *data* without its padding.

    Raises:
        Malformed: The byte 0x80 that begins the padding is missing.
    """
    stripped = data.rstrip(b"\x00")
    if not stripped or stripped[-1] != _PAD_MARK:
        raise Malformed("the padding of the body is not valid")
    return stripped[:-1]


def associated_data(agent: str, spool_id: bytes, sequence: int, wrapped_key: bytes) -> bytes:
    """Return the associated data of a seal. Each part has a fixed length."""
    return _OUTSIDE.pack(VERSION, SUITE_X25519, agent.encode(), spool_id, sequence) + wrapped_key


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(_NONCE_BYTES, "big")


class Sealer:
    """
    Seals the bodies of one agent into one spool, under one session key.

    Each spool needs its own sealer: the sequence is the nonce, and two spools use the same
    sequences.

    Args:
        agent: The agent's id.

        spool_id: The id of the spool, 16 bytes.

        session_key: 32 random bytes that are used for this sealer only.

        ingest_key: Ingest's public key.

        bucket_bytes: Bodies are padded to a multiple of this many bytes.
    """

    def __init__(
        self,
        *,
        agent: str,
        spool_id: bytes,
        session_key: bytes,
        ingest_key: X25519PublicKey,
        bucket_bytes: int = DEFAULT_BUCKET_BYTES,
    ) -> None:
        if len(session_key) != SESSION_KEY_BYTES or len(spool_id) != SPOOL_ID_BYTES:
            raise ValueError("a session key has 32 bytes and a spool id 16")
        if bucket_bytes < 1:
            raise ValueError("a bucket has at least one byte")
        self._agent = agent
        self._spool_id = spool_id
        self._aead = AESGCM(session_key)
        self._wrapped_key = _suite.encrypt(session_key, ingest_key, info=_INFO + agent.encode())
        self._bucket_bytes = bucket_bytes
        self._last = 0

    def seal(self, body: Body, *, sequence: int) -> Envelope:
        """
        Return *body* sealed as envelope *sequence*.

        Raises:
            SequenceReused: *sequence* is not above every earlier one.
        """
        if sequence <= self._last:
            raise SequenceReused
        self._last = sequence
        sealed = self._aead.encrypt(
            _nonce(sequence),
            pad(encode_body(body), self._bucket_bytes),
            associated_data(self._agent, self._spool_id, sequence, self._wrapped_key),
        )
        return Envelope(VERSION, SUITE_X25519, self._spool_id, sequence, self._wrapped_key, sealed)


class Opener:
    """
    Opens envelopes with ingest's private keys, and caches unwrapped session keys.

    It keeps no body. Not safe to share between threads.

    Args:
        private_keys: Every key that may still be in use; the newest first.

        max_sessions: The most session keys to cache. At least the half that was used last is
            cached.
    """

    def __init__(
        self, private_keys: Sequence[X25519PrivateKey], *, max_sessions: int = 131_072
    ) -> None:
        self._private_keys = list(private_keys)
        self._max_sessions = max_sessions
        # Two generations instead of an LRU order, because a look-up then changes no dictionary.
        self._sessions: dict[tuple[str, bytes], AESGCM] = {}
        self._older: dict[tuple[str, bytes], AESGCM] = {}

    def open(self, agent: str, envelope: Envelope) -> Body:
        """
        Return the body that *agent* sealed.

        Raises:
            BadSeal: The envelope was sealed to another key, by another agent, or was changed.
            Malformed: The envelope opens, but its content is not a body.
        """
        return decode_body(self.open_bytes(agent, envelope))

    def open_bytes(self, agent: str, envelope: Envelope) -> bytes:
        """
        Return the encoded body that *agent* sealed, without decoding it.

        Raises:
            BadSeal: The envelope was sealed to another key, by another agent, or was changed.
            Malformed: The envelope opens, but its content has no padding.
        """
        wrapped_key, sequence = envelope.wrapped_key, envelope.sequence
        aead = self._sessions.get((agent, wrapped_key)) or self._session(agent, wrapped_key)
        try:
            padded = aead.decrypt(
                sequence.to_bytes(_NONCE_BYTES, "big"),
                envelope.sealed,
                associated_data(agent, envelope.spool_id, sequence, wrapped_key),
            )
        except InvalidTag:
            raise BadSeal("the body") from None
        return unpad(padded)

    def _session(self, agent: str, wrapped_key: bytes) -> AESGCM:
        """Unwrap the session key, or take it from the older generation of the cache."""
        aead = self._older.get((agent, wrapped_key)) or AESGCM(self._unwrap(agent, wrapped_key))
        if len(self._sessions) >= self._max_sessions // 2:
            self._sessions, self._older = {}, self._sessions
        self._sessions[agent, wrapped_key] = aead
        return aead

    def _unwrap(self, agent: str, wrapped_key: bytes) -> bytes:
        for private_key in self._private_keys:
            try:
                session_key = _suite.decrypt(wrapped_key, private_key, info=_INFO + agent.encode())
            except InvalidTag:
                continue
            if len(session_key) == SESSION_KEY_BYTES:
                return session_key
        raise BadSeal("the session key")
