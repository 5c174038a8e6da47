"""Valid lease keys, and invalid ones of the right length."""

from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.support.poisons import LOW_ORDER
from trust.domain import lease_keys
from trust.errors import BadLeaseKey

P: Final = 2**255 - 19
HIGH: Final = 1 << 255
ED25519_LOW_ORDER: Final = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    # Encodings that no key pair has.
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


def _raw(number: int) -> bytes:
    return number.to_bytes(32, "little")


@pytest.mark.parametrize("high", [0, HIGH], ids=["", "high bit"])
@pytest.mark.parametrize("number", LOW_ORDER)
def test_no_point_of_low_order_is_a_lease_key(number: int, high: int) -> None:
    """
    A key of low order is refused in every encoding, because anyone could open what is sealed to
    it.
    """
    with pytest.raises(BadLeaseKey):
        lease_keys.public_key(_raw(number | high))


@pytest.mark.parametrize("raw", [b"", bytes(31), b"\x09" * 33])
def test_a_lease_key_has_32_bytes(raw: bytes) -> None:
    """A lease key has 32 bytes."""
    assert not lease_keys.is_lease_key(raw)


@given(st.integers(P, (1 << 256) - 1))
def test_a_point_is_written_one_way(number: int) -> None:
    """
    A non-canonical encoding is refused, because it would be another gateway's key in
    disguise.
    """
    assert not lease_keys.is_lease_key(_raw(number))


@given(st.binary(min_size=32, max_size=32))
def test_every_key_pair_has_a_lease_key(private: bytes) -> None:
    """The public half of every X25519 key pair is accepted."""
    public = X25519PrivateKey.from_private_bytes(private).public_key()

    assert lease_keys.is_lease_key(public.public_bytes_raw())
    assert lease_keys.public_key(public.public_bytes_raw()) == public


@given(st.binary(min_size=32, max_size=32))
def test_every_key_pair_has_a_signing_key(private: bytes) -> None:
    """
    The public half of every Ed25519 key pair is accepted, and its X25519 form is a lease
    key.
    """
    public = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()

    assert lease_keys.is_signing_key(public)
    assert lease_keys.is_lease_key(lease_keys.montgomery(public))


@pytest.mark.parametrize("text", ED25519_LOW_ORDER)
def test_no_ed25519_point_of_low_order_is_a_signing_key(text: str) -> None:
    """An Ed25519 key of low order is refused, because anyone can make its signatures."""
    assert not lease_keys.is_signing_key(bytes.fromhex(text))


def test_the_twin_of_a_signing_key_is_known() -> None:
    """The X25519 form of the base point y = 4/5 is u = 9 (RFC 7748)."""
    y = 4 * pow(5, -1, P) % P

    assert lease_keys.montgomery(_raw(y)) == _raw(9)
    assert lease_keys.montgomery(_raw(1)) == _raw(0)
