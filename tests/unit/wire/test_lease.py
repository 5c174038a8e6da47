"""The lease: signed by trust, sealed to one agent."""

import msgspec
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies_wire import agents, handles, rules
from wire import lease
from wire.errors import BadSeal, BadSignature, Malformed, UnsupportedVersion, WireError
from wire.lease import Grant, Lease
from wire.policy import Aggregate, Rule

AGENT = "0123456789abcdef"
TRUST = Ed25519PrivateKey.generate()
HOLDER = X25519PrivateKey.generate()
LEASE = Lease(
    AGENT,
    3,
    1000,
    2000,
    [Grant(b"h" * 16, ["C0:FF:EE:00:00:01"], [Rule(1, 5, 1000, 1000, Aggregate.MEAN)])],
)
# By hand, from the msgpack specification.
LEASE_BYTES = (
    b"\x96\xb0" + AGENT.encode() + b"\x03\xcd\x03\xe8\xcd\x07\xd0\x91\x93\xc4\x10" + b"h" * 16
) + b"\x91\xb1C0:FF:EE:00:00:01\x91\x95\x01\x05\xcd\x03\xe8\xcd\x03\xe8\xa4mean\xcc\x80"
SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

leases = st.builds(
    Lease,
    agents,
    st.integers(1, (1 << 32) - 1),
    st.integers(0, 1 << 42),
    st.integers(0, 1 << 42),
    st.lists(
        st.builds(
            Grant,
            handles,
            st.lists(st.text(max_size=20), max_size=3),
            st.lists(rules(), max_size=4),
        ),
        max_size=3,
    ),
    st.integers(1, 4096),
)


def seal(inside: bytes) -> bytes:
    """Return *inside* sealed to HOLDER."""
    info = b"vitalveil lease v1\x00" + AGENT.encode()
    return SUITE.encrypt(inside, HOLDER.public_key(), info=info)


def sign(encoded: bytes, *, version: int = 1) -> bytes:
    """Return *encoded* with trust's signature, sealed to HOLDER."""
    signature = TRUST.sign(b"vitalveil lease signature v1\x00" + encoded)
    return seal(msgspec.msgpack.encode([version, encoded, signature]))


def read(data: bytes, *, agent: str = AGENT, key: X25519PrivateKey = HOLDER) -> Lease:
    """Return the lease that HOLDER reads."""
    return lease.decode(data, agent=agent, trust_key=TRUST.public_key(), agent_key=key)


SEALED = lease.encode(LEASE, trust_key=TRUST, agent_key=HOLDER.public_key())


def test_lease_is_read_as_by_hand() -> None:
    """The bytes are those that the specifications say: msgpack, Ed25519, HPKE."""
    assert read(sign(LEASE_BYTES)) == LEASE

    info = b"vitalveil lease v1\x00" + AGENT.encode()
    version, encoded, signature = msgspec.msgpack.decode(SUITE.decrypt(SEALED, HOLDER, info=info))
    assert (version, encoded) == (1, LEASE_BYTES)
    TRUST.public_key().verify(signature, b"vitalveil lease signature v1\x00" + LEASE_BYTES)


@given(leases)
def test_decoding_inverts_encoding_of_leases(original: Lease) -> None:
    """What trust encodes is what the agent decodes."""
    sealed = lease.encode(original, trust_key=TRUST, agent_key=HOLDER.public_key())

    assert read(sealed, agent=original.agent) == original


def test_addresses_are_not_readable_outside() -> None:
    """It lies retained on the broker, which must not learn which sensors there are."""
    assert b"C0:FF:EE" not in SEALED
    assert b"h" * 16 not in SEALED


def test_every_truncated_lease_has_a_bad_seal() -> None:
    """No part of a lease opens."""
    for size in range(len(SEALED)):
        with pytest.raises(BadSeal):
            read(SEALED[:size])


@pytest.mark.parametrize("bit", [0, 7])
def test_no_bit_of_a_lease_can_be_changed(bit: int) -> None:
    """A changed bit anywhere breaks the seal."""
    for place in range(len(SEALED)):
        # The highest bit of an X25519 point is not looked at (RFC 7748), but HPKE binds it too.
        changed = bytearray(SEALED)
        changed[place] ^= 1 << bit
        with pytest.raises(BadSeal):
            read(bytes(changed))


def test_lease_of_another_agent_does_not_open() -> None:
    """Another agent's name or key does not open it."""
    with pytest.raises(BadSeal):
        read(SEALED, agent="f" * 16)
    with pytest.raises(BadSeal):
        read(SEALED, key=X25519PrivateKey.generate())


def test_lease_that_another_signed_is_refused() -> None:
    """Whoever has the agent's public key can seal to it; only trust can sign."""
    forged = lease.encode(
        LEASE, trust_key=Ed25519PrivateKey.generate(), agent_key=HOLDER.public_key()
    )

    with pytest.raises(BadSignature):
        read(forged)


def test_signed_lease_is_for_one_agent() -> None:
    """A lease that trust signed for another agent is refused, even sealed to this one."""
    other = msgspec.msgpack.encode(msgspec.structs.replace(LEASE, agent="f" * 16))

    with pytest.raises(BadSignature):
        read(sign(other))


@pytest.mark.parametrize("signature", [b"", b"x" * 63, b"x" * 64, b"x" * 65])
def test_signature_of_any_length_is_only_bad(signature: bytes) -> None:
    """A signature that is none is a bad one."""
    with pytest.raises(BadSignature):
        read(seal(msgspec.msgpack.encode([1, LEASE_BYTES, signature])))


def test_later_version_of_a_lease_is_unsupported() -> None:
    """A version that we do not know is not tried."""
    with pytest.raises(UnsupportedVersion):
        read(sign(LEASE_BYTES, version=3))


@pytest.mark.parametrize("multiple", [1, 2, 128, 256, 1000, 4096, 65_536, 100_000])
@given(original=leases)
def test_padded_lease_is_read_and_tells_no_length(multiple: int, original: Lease) -> None:
    """What is sealed is a multiple in length, whatever is in it; and it means the same."""
    original = msgspec.structs.replace(original, agent=AGENT)
    data = lease.encode(
        original, trust_key=TRUST, agent_key=HOLDER.public_key(), multiple_bytes=multiple
    )
    assert read(data) == original
    overhead = len(seal(b""))
    assert (len(data) - overhead) % multiple == 0
    assert len(data) < len(sign(msgspec.msgpack.encode(original))) + 3 * multiple + 16


def test_padding_belongs_to_the_second_form() -> None:
    """A first form with padding, or a second one without, is neither."""
    signature = TRUST.sign(b"vitalveil lease signature v1\x00" + LEASE_BYTES)
    for fields in ([1, LEASE_BYTES, signature, b""], [2, LEASE_BYTES, signature]):
        with pytest.raises(Malformed):
            read(seal(msgspec.msgpack.encode(fields)))


def test_every_truncation_under_the_seal_is_a_wire_error() -> None:
    """Parts of a lease that trust itself signed, and parts of what it sealed."""
    for size in range(len(LEASE_BYTES)):
        with pytest.raises(Malformed):
            read(sign(LEASE_BYTES[:size]))
    whole = msgspec.msgpack.encode([1, LEASE_BYTES, b"x" * 64])
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            read(seal(whole[:size]))


@given(st.binary(max_size=200))
def test_no_bytes_of_a_lease_raise_anything_else(data: bytes) -> None:
    """Any bytes, outside, under the seal or under the signature, are a WireError."""
    for hostile in (data, seal(data), sign(data)):
        with pytest.raises(WireError):
            read(hostile)


@pytest.mark.parametrize(
    "changed",
    [
        msgspec.structs.replace(LEASE, version=0),
        msgspec.structs.replace(LEASE, version=1 << 32),
        msgspec.structs.replace(LEASE, bucket_bytes=0),
        msgspec.structs.replace(LEASE, bucket_bytes=4097),
        msgspec.structs.replace(LEASE, grants=[Grant(b"h" * 15, [], [])]),
    ],
)
def test_unsound_lease_is_malformed(changed: Lease) -> None:
    """Each field has one length or range, even when trust itself is wrong about it."""
    with pytest.raises(Malformed):
        read(sign(msgspec.msgpack.encode(changed)))


def test_agent_that_is_no_agent_has_no_lease() -> None:
    """A lease names an agent by 16 hex digits."""
    named = msgspec.structs.replace(LEASE, agent="x" * 16)
    sealed = lease.encode(named, trust_key=TRUST, agent_key=HOLDER.public_key())

    with pytest.raises(Malformed):
        read(sealed, agent="x" * 16)


def test_rule_that_contradicts_itself_is_malformed() -> None:
    """A rule of a lease is held to the same contract as any other."""
    broken = LEASE_BYTES.replace(b"\x95\x01\x05", b"\x95\x01\x00")

    with pytest.raises(Malformed):
        read(sign(broken))


def test_lease_ends_at_its_instant() -> None:
    """In the millisecond of its end it is over."""
    assert LEASE.is_in_force(now_ms=1999)
    assert not LEASE.is_in_force(now_ms=2000)
