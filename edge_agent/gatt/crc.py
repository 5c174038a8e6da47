"""The end-to-end check of the continuous glucose monitoring service."""

import binascii
from typing import Final

from edge_agent.gatt.errors import BadCrc, TrailingBytes
from edge_agent.gatt.octets import Octets, Value
from edge_agent.gatt.quirks import CrcKind, Quirks

CRC_BYTES: Final = 2
_START: Final = 0xFFFF
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def crc16(kind: CrcKind, data: Value) -> int:
    """Return the check of *data*: polynomial 0x1021, started at 0xFFFF, no final inversion."""
    if kind is CrcKind.CCITT_FALSE:
        return binascii.crc_hqx(data, _START)
    # MCRF4XX is the same polynomial with the bits of each byte, and of the sum, in reverse. So
    # the standard library's fast loop does the work of a table of our own.
    mirrored = binascii.crc_hqx(data.translate(_REVERSED), _START)
    return _REVERSED[mirrored & 0xFF] << 8 | _REVERSED[mirrored >> 8]


def append(data: bytes, quirks: Quirks) -> bytes:
    """Return *data*, followed by its check if *quirks* say that there is one."""
    return data + crc16(quirks.crc, data).to_bytes(CRC_BYTES, "little") if quirks.e2e_crc else data


def finish(octets: Octets, value: Value, quirks: Quirks) -> None:
    """
    Take the check that ends *value*, if there is one, and verify it.

    Raises:
        Truncated: There is none, or half of one, and there must be one.
        TrailingBytes: What is left is no check.
        BadCrc: It does not match.
    """
    if octets.left == 0 and not quirks.e2e_crc:
        return
    if octets.left > CRC_BYTES or quirks.e2e_crc is False:
        raise TrailingBytes(expected=octets.at, got=len(value))
    covered = octets.at
    if octets.uint16() != crc16(quirks.crc, value[:covered]):
        raise BadCrc
