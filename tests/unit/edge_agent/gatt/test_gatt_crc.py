"""The end-to-end checksum."""

import pytest

from edge_agent.gatt import crc
from edge_agent.gatt.quirks import CrcKind


@pytest.mark.parametrize(
    ("kind", "check"), [(CrcKind.MCRF4XX, 0x6F91), (CrcKind.CCITT_FALSE, 0x29B1)]
)
def test_check_of_the_digits(kind: CrcKind, check: int) -> None:
    """Each algorithm gives the check value of its entry in the catalogue of CRCs."""
    assert crc.crc16(kind, b"123456789") == check


@pytest.mark.parametrize("kind", CrcKind)
def test_every_flipped_bit_is_noticed(kind: CrcKind) -> None:
    """One flipped bit anywhere in a value of 16 bytes changes the checksum."""
    value = bytes(range(16))
    checks = {
        crc.crc16(kind, (int.from_bytes(value) ^ 1 << bit).to_bytes(16)) for bit in range(128)
    }
    assert crc.crc16(kind, value) not in checks
