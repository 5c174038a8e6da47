"""
The lease: what an agent may measure, of whom, how finely and until when.

Signed by trust (Ed25519, RFC 8032), then sealed to the agent (HPKE, RFC 9180), because it lies
retained on the broker and names sensors by their address. An agent without a lease in force does
not measure.
"""

from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wire.envelope import HANDLE_BYTES
from wire.errors import BadSeal, BadSignature, Malformed, UnsupportedVersion
from wire.policy import Rule
from wire.sealing import DEFAULT_BUCKET_BYTES
from wire.topics import is_agent

VERSION: Final = 1
PADDED_VERSION: Final = 2
"""
The form that an agent reads whose state says `lease-2`: zeros behind, so that the length does not
tell how many people there are.
"""
_INFO: Final = b"vitalveil lease v1\x00"
_CONTEXT: Final = b"vitalveil lease signature v1\x00"

_suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What may be measured of one subject, under one handle."""

    handle: bytes
    bindings: list[str]
    """Addresses of the sensors that this subject wears: the only ones to listen to."""
    rules: list[Rule]
    """One for each quantity that may be measured; any other is dropped."""


class Lease(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything that one agent may measure, until `not_after_ms`."""

    agent: str
    version: int
    """Only grows: an agent refuses a lease below the highest that it has seen."""
    issued_at_ms: int
    not_after_ms: int
    """From this instant on, ms since 1970, nothing may be measured under it."""
    grants: list[Grant]
    bucket_bytes: int = DEFAULT_BUCKET_BYTES

    def is_in_force(self, *, now_ms: int) -> bool:
        """Tell whether measuring under this lease is allowed at *now_ms*."""
        return now_ms < self.not_after_ms


class _Signed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    lease: bytes
    signature: bytes
    padding: bytes | msgspec.UnsetType = msgspec.UNSET
    """Of the second form alone. Not signed: the seal keeps it whole, and it says nothing."""


_encoder = msgspec.msgpack.Encoder()
_signed_decoder = msgspec.msgpack.Decoder(_Signed)
_lease_decoder = msgspec.msgpack.Decoder(Lease)


def encode(
    lease: Lease,
    *,
    trust_key: Ed25519PrivateKey,
    agent_key: X25519PublicKey,
    multiple_bytes: int = 0,
) -> bytes:
    """
    Return *lease* signed by *trust_key* and sealed to *agent_key*, as it is published.

    Args:
        lease: What the agent may measure.

        trust_key: Trust's private key.

        agent_key: The agent's public lease key.

        multiple_bytes: What is sealed is padded to a multiple of so many; 0 for the first form,
            without padding. For an agent whose state says `lease-2`.
    """
    encoded = _encoder.encode(lease)
    signature = trust_key.sign(_CONTEXT + encoded)
    if multiple_bytes:
        signed = _padded(encoded, signature, multiple_bytes)
    else:
        signed = _encoder.encode([VERSION, encoded, signature])
    return _suite.encrypt(signed, agent_key, info=_INFO + lease.agent.encode())


def _padded(encoded: bytes, signature: bytes, multiple_bytes: int) -> bytes:
    bare = len(_encoder.encode([PADDED_VERSION, encoded, signature, b""]))
    # How many more bytes tell the length of so many zeros, which is 1 byte for none.
    for more, least, most in ((0, 0, 0xFF), (1, 0x100, 0xFFFF), (3, 0x1_0000, 0xFFFF_FFFF)):
        zeros = -(bare + more) % multiple_bytes
        if zeros < least:
            zeros += -(-(least - zeros) // multiple_bytes) * multiple_bytes
        if zeros <= most:
            return _encoder.encode([PADDED_VERSION, encoded, signature, bytes(zeros)])
    raise ValueError("a lease is not padded to more than 4 GiB")


def decode(
    data: bytes, *, agent: str, trust_key: Ed25519PublicKey, agent_key: X25519PrivateKey
) -> Lease:
    """
    Return the lease of *agent*. Whether it is in force, or older than another, is not asked here.

    Raises:
        BadSeal: Not sealed to this agent.
        BadSignature: Not signed by trust, or for another agent.
        UnsupportedVersion: The version is not ours.
        Malformed: Not a lease.
    """
    try:
        signed_bytes = _suite.decrypt(data, agent_key, info=_INFO + agent.encode())
    except InvalidTag:
        raise BadSeal("the lease") from None
    try:
        signed = _signed_decoder.decode(signed_bytes)
    except _UNREADABLE:
        raise Malformed("the lease is not readable") from None
    if signed.version not in (VERSION, PADDED_VERSION):
        raise UnsupportedVersion("lease version")
    if isinstance(signed.padding, bytes) != (signed.version == PADDED_VERSION):
        raise Malformed("the lease is not readable")
    try:
        trust_key.verify(signed.signature, _CONTEXT + signed.lease)
    except InvalidSignature:
        raise BadSignature("lease") from None
    try:
        lease = _lease_decoder.decode(signed.lease)
    except _UNREADABLE:
        raise Malformed("the lease is not readable") from None
    if lease.agent != agent:
        raise BadSignature("lease")
    if not _is_sound(lease):
        raise Malformed("a field of the lease has a wrong length or value")
    return lease


def _is_sound(lease: Lease) -> bool:
    return (
        is_agent(lease.agent)
        and 0 < lease.version < 1 << 32
        and 1 <= lease.bucket_bytes <= 4096
        and all(len(grant.handle) == HANDLE_BYTES for grant in lease.grants)
    )
