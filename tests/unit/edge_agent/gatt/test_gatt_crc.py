"""The end-to-end check."""

import pytest

from edge_agent.gatt import crc
from edge_agent.gatt.quirks import CrcKind


@pytest.mark.parametrize(
    ("kind", "check"), [(CrcKind.MCRF4XX, 0x6F91), (CrcKind.CCITT_FALSE, 0x29B1)]
)
def test_check_of_the_digits(kind: CrcKind, check: int) -> None:
    """The catalogue of CRCs states for each algorithm the check of the nine digits."""
    assert crc.crc16(kind, b"123456789") == check


@pytest.mark.parametrize("kind", CrcKind)
def test_every_flipped_bit_is_noticed(kind: CrcKind) -> None:
    """One wrong bit anywhere in a value of 16 bytes changes the check."""
    value = bytes(range(16))
    checks = {
        crc.crc16(kind, (int.from_bytes(value) ^ 1 << bit).to_bytes(16)) for bit in range(128)
    }
    assert crc.crc16(kind, value) not in checks
