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
# Written by hand from the msgpack specification.
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
    """A lease equals bytes made by the specifications of msgpack, Ed25519 and HPKE."""
    assert read(sign(LEASE_BYTES)) == LEASE

    info = b"vitalveil lease v1\x00" + AGENT.encode()
    version, encoded, signature = msgspec.msgpack.decode(SUITE.decrypt(SEALED, HOLDER, info=info))
    assert (version, encoded) == (1, LEASE_BYTES)
    TRUST.public_key().verify(signature, b"vitalveil lease signature v1\x00" + LEASE_BYTES)


@given(leases)
def test_decoding_inverts_encoding_of_leases(original: Lease) -> None:
    """Decoding inverts encoding of leases."""
    sealed = lease.encode(original, trust_key=TRUST, agent_key=HOLDER.public_key())

    assert read(sealed, agent=original.agent) == original


def test_addresses_are_not_readable_outside() -> None:
    """The sealed lease contains no sensor address, because the broker retains it."""
    assert b"C0:FF:EE" not in SEALED
    assert b"h" * 16 not in SEALED


def test_every_truncated_lease_has_a_bad_seal() -> None:
    """Every truncated lease has a bad seal."""
    for size in range(len(SEALED)):
        with pytest.raises(BadSeal):
            read(SEALED[:size])


@pytest.mark.parametrize("bit", [0, 7])
def test_no_bit_of_a_lease_can_be_changed(bit: int) -> None:
    """A lease with any flipped bit has a bad seal."""
    for place in range(len(SEALED)):
        # X25519 ignores the highest bit of a point (RFC 7748), but HPKE binds it.
        changed = bytearray(SEALED)
        changed[place] ^= 1 << bit
        with pytest.raises(BadSeal):
            read(bytes(changed))


def test_lease_of_another_agent_does_not_open() -> None:
    """A lease does not open with another agent's id or key."""
    with pytest.raises(BadSeal):
        read(SEALED, agent="f" * 16)
    with pytest.raises(BadSeal):
        read(SEALED, key=X25519PrivateKey.generate())


def test_lease_that_another_signed_is_refused() -> None:
    """A lease that is sealed to the agent and signed by another key is refused."""
    forged = lease.encode(
        LEASE, trust_key=Ed25519PrivateKey.generate(), agent_key=HOLDER.public_key()
    )

    with pytest.raises(BadSignature):
        read(forged)


def test_signed_lease_is_for_one_agent() -> None:
    """A lease that trust signed for another agent is refused, even if it is sealed to this one."""
    other = msgspec.msgpack.encode(msgspec.structs.replace(LEASE, agent="f" * 16))

    with pytest.raises(BadSignature):
        read(sign(other))


@pytest.mark.parametrize("signature", [b"", b"x" * 63, b"x" * 64, b"x" * 65])
def test_signature_of_any_length_is_only_bad(signature: bytes) -> None:
    """A signature of any other length is a bad signature."""
    with pytest.raises(BadSignature):
        read(seal(msgspec.msgpack.encode([1, LEASE_BYTES, signature])))


def test_later_version_of_a_lease_is_unsupported() -> None:
    """A lease of a later version is unsupported."""
    with pytest.raises(UnsupportedVersion):
        read(sign(LEASE_BYTES, version=3))


@pytest.mark.parametrize("multiple", [1, 2, 128, 256, 1000, 4096, 65_536, 100_000])
@given(original=leases)
def test_padded_lease_is_read_and_tells_no_length(multiple: int, original: Lease) -> None:
    """A padded lease has a length that is a multiple, and is read like one without padding."""
    original = msgspec.structs.replace(original, agent=AGENT)
    data = lease.encode(
        original, trust_key=TRUST, agent_key=HOLDER.public_key(), multiple_bytes=multiple
    )
    assert read(data) == original
    overhead = len(seal(b""))
    assert (len(data) - overhead) % multiple == 0
    assert len(data) < len(sign(msgspec.msgpack.encode(original))) + 3 * multiple + 16


def test_padding_belongs_to_the_second_form() -> None:
    """A lease of the first form with padding, or of the second without, is malformed."""
    signature = TRUST.sign(b"vitalveil lease signature v1\x00" + LEASE_BYTES)
    for fields in ([1, LEASE_BYTES, signature, b""], [2, LEASE_BYTES, signature]):
        with pytest.raises(Malformed):
            read(seal(msgspec.msgpack.encode(fields)))


def test_every_truncation_under_the_seal_is_a_wire_error() -> None:
    """A truncated lease that trust itself signed or sealed raises a WireError."""
    for size in range(len(LEASE_BYTES)):
        with pytest.raises(Malformed):
            read(sign(LEASE_BYTES[:size]))
    whole = msgspec.msgpack.encode([1, LEASE_BYTES, b"x" * 64])
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            read(seal(whole[:size]))


@given(st.binary(max_size=200))
def test_no_bytes_of_a_lease_raise_anything_else(data: bytes) -> None:
    """Any bytes, outside, under the seal or under the signature, give a lease or a WireError."""
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
    """Each field of a lease has one length or range, even if trust signed it."""
    with pytest.raises(Malformed):
        read(sign(msgspec.msgpack.encode(changed)))


def test_agent_that_is_no_agent_has_no_lease() -> None:
    """The agent of a lease must be 16 hexadecimal digits."""
    named = msgspec.structs.replace(LEASE, agent="x" * 16)
    sealed = lease.encode(named, trust_key=TRUST, agent_key=HOLDER.public_key())

    with pytest.raises(Malformed):
        read(sealed, agent="x" * 16)


def test_rule_that_contradicts_itself_is_malformed() -> None:
    """A rule that contradicts itself makes the lease malformed."""
    broken = LEASE_BYTES.replace(b"\x95\x01\x05", b"\x95\x01\x00")

    with pytest.raises(Malformed):
        read(sign(broken))


def test_lease_ends_at_its_instant() -> None:
    """In the millisecond of its end a lease is not in force any more."""
    assert LEASE.is_in_force(now_ms=1999)
    assert not LEASE.is_in_force(now_ms=2000)
