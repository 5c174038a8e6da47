"""E2E-CRC, the end-to-end checksum of the Continuous Glucose Monitoring Service."""

import binascii
from typing import Final

from edge_agent.gatt.errors import BadCrc, TrailingBytes
from edge_agent.gatt.octets import Octets, Value
from edge_agent.gatt.quirks import CrcKind, Quirks

CRC_BYTES: Final = 2
_START: Final = 0xFFFF
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def crc16(kind: CrcKind, data: Value) -> int:
    """Return the CRC-16 of *data*: polynomial 0x1021, initial value 0xFFFF, no final XOR."""
    if kind is CrcKind.CCITT_FALSE:
        return binascii.crc_hqx(data, _START)
    # MCRF4XX uses the same polynomial with the bits of each byte and of the sum reversed, so the
    # standard library's fast function can be used.
    mirrored = binascii.crc_hqx(data.translate(_REVERSED), _START)
    return _REVERSED[mirrored & 0xFF] << 8 | _REVERSED[mirrored >> 8]


def append(data: bytes, quirks: Quirks) -> bytes:
    """Return *data*, followed by its checksum if *quirks* say so."""
    return data + crc16(quirks.crc, data).to_bytes(CRC_BYTES, "little") if quirks.e2e_crc else data


def finish(octets: Octets, value: Value, quirks: Quirks) -> None:
    """
    Read the checksum at the end of *value*, if there is one, and verify it.

    Raises:
        Truncated: A required checksum is missing or incomplete.
        TrailingBytes: The remaining bytes are not a checksum.
        BadCrc: The checksum does not match.
    """
    if octets.left == 0 and not quirks.e2e_crc:
        return
    if octets.left > CRC_BYTES or quirks.e2e_crc is False:
        raise TrailingBytes(expected=octets.at, got=len(value))
    covered = octets.at
    if octets.uint16() != crc16(quirks.crc, value[:covered]):
        raise BadCrc
