"""
The lease: which sensors and quantities an agent may measure, how finely, and until when.

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
The second form, for agents whose state says `lease-2`: padded with zeros, so that the length does
not reveal how many people there are.
"""
MAX_USER: Final = 254
"""GSS, User Index: 255 stands for an unknown user."""
_INFO: Final = b"vitalveil lease v1\x00"
_CONTEXT: Final = b"vitalveil lease signature v1\x00"

_suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Binding(msgspec.Struct, frozen=True):
    """
    A sensor that is bound to a subject; of a sensor with several users, one of them.

    It is written as the address, or as `C0:FF:EE:00:00:01#2` for user 2. An agent that does not
    know users takes this for an address, and never meets it.
    """

    address: str
    """The sensor's address, as Bluetooth stacks write it."""
    user: int | None = None
    """The index by which the sensor tells its users apart, 0 to 254; None if it tells none."""

    def __str__(self) -> str:
        return self.address if self.user is None else f"{self.address}#{self.user}"

    @classmethod
    def parse(cls, text: str) -> "Binding":
        """Return the binding that *text* writes; text of another form is taken for an address."""
        address, _, user = text.partition("#")
        is_user = user.isascii() and user.isdecimal() and len(user) <= 3 and int(user) <= MAX_USER
        return cls(address, int(user)) if is_user else cls(text)


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What may be measured of one subject, under one handle."""

    handle: bytes
    bindings: list[str]
    """
    The sensors of this subject, each as a `Binding` writes it: no others are listened to. There is
    none if everything under the handle was measured before, and may only be sent.
    """
    rules: list[Rule]
    """One for each quantity that may be measured. All other quantities are dropped."""


class Lease(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything that one agent may measure, until `not_after_ms`."""

    agent: str
    version: int
    """Grows with each lease. An agent refuses versions below the highest that it has accepted."""
    issued_at_ms: int
    not_after_ms: int
    """The end of the lease, ms since 1970. From then on nothing may be measured under it."""
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
    """Only in the second form. Not signed: the seal protects it, and it carries no information."""


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

        multiple_bytes: Pad to a multiple of this many bytes, for an agent whose state says
            `lease-2`; 0 for the first form, without padding.
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
    # MessagePack needs this many additional bytes to encode the length of the zeros.
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
    Open and verify the lease of *agent*. Its age and end are not checked here.

    Raises:
        BadSeal: The message was not sealed to this agent.
        BadSignature: Trust did not sign the lease, or signed it for another agent.
        UnsupportedVersion: This software does not know the version.
        Malformed: The message is not a lease.
    """
    try:
        signed_bytes = _suite.decrypt(data, agent_key, info=_INFO + agent.encode())
    except InvalidTag:
        raise BadSeal("the lease") from None
    try:
        signed = _signed_decoder.decode(signed_bytes)
    except _UNREADABLE:
        raise Malformed("the lease cannot be decoded") from None
    if signed.version not in (VERSION, PADDED_VERSION):
        raise UnsupportedVersion("lease version")
    if isinstance(signed.padding, bytes) != (signed.version == PADDED_VERSION):
        raise Malformed("the lease cannot be decoded")
    try:
        trust_key.verify(signed.signature, _CONTEXT + signed.lease)
    except InvalidSignature:
        raise BadSignature("lease") from None
    try:
        lease = _lease_decoder.decode(signed.lease)
    except _UNREADABLE:
        raise Malformed("the lease cannot be decoded") from None
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
