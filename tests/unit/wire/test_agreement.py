"""The agreement: both sides derive the same keys, and no one else can."""

import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from wire import agreement
from wire.agreement import Agreement, is_proof, prove
from wire.errors import WeakKey

AGENT = "0123456789abcdef"
INGEST = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
LEASE = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))

# The points of small order (https://cr.yp.to/ecdh.html).
LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def public(key: X25519PrivateKey) -> bytes:
    """Return the public half of *key*."""
    return key.public_key().public_bytes_raw()


def test_both_sides_agree() -> None:
    """Ingest and agent each derive the same keys from their own private key."""
    ours = agreement.of_ingest(INGEST, public(LEASE), AGENT)
    assert ours == agreement.of_agent(LEASE, public(INGEST), AGENT)
    assert ours.key_id == agreement.key_id(public(INGEST))


def test_the_keys_are_what_the_rules_say() -> None:
    """The derived bytes are fixed, so that later versions agree with this one."""
    ours = agreement.of_ingest(INGEST, public(LEASE), AGENT)
    assert ours == Agreement(
        bytes.fromhex("a0289810032eb417"),
        bytes.fromhex("0e3fa5924ecf756997d462ee5f83644aa06c2e3f6ca43ad0e39170e8600b0f3e"),
        bytes.fromhex("e07b1a4a8bd606875cbf2630d20994a53615cff8d20e99d496b8427022cafacb"),
    )


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_key_of_small_order_is_refused(point: bytes) -> None:
    """A public key of small order is refused, because anyone would share its secret."""
    with pytest.raises(WeakKey):
        agreement.of_ingest(INGEST, point, AGENT)
    with pytest.raises(WeakKey):
        agreement.of_agent(LEASE, point, AGENT)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    """A public key of another length is refused."""
    with pytest.raises(WeakKey):
        agreement.of_ingest(INGEST, bytes(size), AGENT)


def test_no_key_serves_two_pairs_or_two_directions() -> None:
    """The derived key depends on the agent, both public keys and the direction."""
    other = X25519PrivateKey.generate()
    found = [
        agreement.of_ingest(INGEST, public(LEASE), AGENT),
        agreement.of_ingest(INGEST, public(LEASE), "f" * 16),
        agreement.of_ingest(INGEST, public(other), AGENT),
        agreement.of_ingest(other, public(LEASE), AGENT),
    ]
    keys = [key for one in found for key in (one.receipt_key, one.floor_key)]
    assert len(set(keys)) == len(keys)


def test_a_public_key_that_shares_the_secret_shares_no_key() -> None:
    """
    Two encodings of a public key with the same X25519 secret give different keys, because the
    encodings are bound.
    """
    twin = bytearray(public(LEASE))
    twin[31] |= 0x80
    ours = agreement.of_ingest(INGEST, public(LEASE), AGENT)
    theirs = agreement.of_ingest(INGEST, bytes(twin), AGENT)
    assert ours.receipt_key != theirs.receipt_key


def test_a_proof_is_of_these_bytes_under_this_key() -> None:
    """Other bytes, another key and a shortened proof do not verify."""
    proof = prove(b"k" * 32, b"data")
    assert is_proof(b"k" * 32, b"data", proof)
    assert not is_proof(b"k" * 32, b"date", proof)
    assert not is_proof(b"l" * 32, b"data", proof)
    assert not is_proof(b"k" * 32, b"data", proof[:-1])
    assert not is_proof(b"k" * 32, b"data", b"")


@given(st.binary(max_size=64), st.binary(max_size=300))
@example(b"\x0b" * 20, b"Hi There")
def test_a_proof_is_the_hmac_of_the_library(key: bytes, data: bytes) -> None:
    """The written-out HMAC equals that of the library."""
    assert prove(key, data) == hmac.digest(key, data, "sha256")


def test_a_proof_is_that_of_the_specification() -> None:
    """The test vector of RFC 4231, section 4.2."""
    assert prove(b"\x0b" * 20, b"Hi There").hex() == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
