"""
Lease keys: the keys that a gateway's leases are sealed to, and which bytes are no such key. Pure.

An X25519 key has 32 bytes (RFC 7748). Some values are points of low order: every key exchange with
them gives zero, so anyone could open a lease sealed to them, and HPKE refuses them (RFC 9180,
7.1.4). Other values are a second encoding of a point, which no key pair has. Ed25519 has its own
points of low order (RFC 8032): under such a key, anyone can make a signature that verifies.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from trust.errors import BadLeaseKey

LEASE_KEY_BYTES: Final = 32
_P: Final = 2**255 - 19
_HIGH_BIT: Final = 1 << 255
# Any scalar works: each is a multiple of the cofactor, so a point of low order becomes zero.
_PROBE: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
_D: Final = -121665 * pow(121666, -1, _P) % _P


def public_key(raw: bytes) -> X25519PublicKey:
    """
    Return the X25519 key in *raw*, 32 bytes.

    Raises:
        BadLeaseKey: Nothing can be sealed to this key.
    """
    if not is_lease_key(raw):
        raise BadLeaseKey
    return X25519PublicKey.from_public_bytes(raw)


def is_lease_key(raw: bytes) -> bool:
    """Tell whether *raw* is an X25519 key that a lease can be sealed to."""
    if len(raw) != LEASE_KEY_BYTES or int.from_bytes(raw, "little") >= _P:
        return False
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(raw))
    except ValueError:
        return False
    return True


def montgomery(ed25519: bytes) -> bytes:
    """
        Return the X25519 key that belongs to an Ed25519 key (RFC 7748, 4.1: u = (1+y)/(1-y)).

    The holder of one private key can compute the other private key.
    """
    y = int.from_bytes(ed25519, "little") & (_HIGH_BIT - 1)
    return ((1 + y) * pow(1 - y, -1, _P) % _P if y % _P != 1 else 0).to_bytes(32, "little")


def is_signing_key(raw: bytes) -> bool:
    """Tell whether *raw* is an Ed25519 key in its canonical encoding and not of low order."""
    if len(raw) != LEASE_KEY_BYTES:
        return False
    y = int.from_bytes(raw, "little") & (_HIGH_BIT - 1)
    if y >= _P:
        return False
    # The eight points of low order: y is 0, 1 or -1, or d*y^4 + 2*y^2 - 1 = 0 (order 8: x = ±y
    # after doubling to a point of order 4, whose y is 0).
    return not (y in (0, 1, _P - 1) or _doubles_to_order_4(y))


def _doubles_to_order_4(y: int) -> bool:
    # On -x^2 + y^2 = 1 + d*x^2*y^2 the double has y' = (y^2 + x^2) / (2 + x^2 - y^2); y' = 0 where
    # x^2 = -y^2, which in the curve's equation gives d*y^4 + 2*y^2 - 1 = 0.
    return (_D * pow(y, 4, _P) + 2 * y * y - 1) % _P == 0
