"""FIT files, written here by hand."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.errors import FileReason, FileRefused
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally
from recordings.vendors import fit

_FIT_EPOCH_S = 631_065_600
_CRC = [0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
        0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400]  # fmt: skip


def crc(content: bytes) -> int:
    """Return the checksum of FIT, from the table in its protocol description."""
    value = 0
    for byte in content:
        for nibble in (byte & 0xF, byte >> 4):
            value = ((value >> 4) & 0x0FFF) ^ _CRC[value & 0xF] ^ _CRC[nibble]
    return value


def written(points: Sequence[tuple[int, int]]) -> bytes:
    """Return a file with a record message for each of *points*: seconds since 1970 and a rate."""
    # Definition 0: message 20 (record), timestamp (253, uint32) and heart rate (3, uint8).
    body = bytes([0x40, 0, 0]) + struct.pack("<HB", 20, 2) + bytes([253, 4, 0x86, 3, 1, 0x02])
    for at_s, rate in points:
        body += b"\x00" + struct.pack("<IB", at_s - _FIT_EPOCH_S, rate)
    header = struct.pack("<BBHI4s", 14, 0x20, 2132, len(body), b".FIT")
    header += struct.pack("<H", crc(header))
    return header + body + struct.pack("<H", crc(header + body))


def read(content: bytes) -> tuple[list[Sample], ParseTally]:
    """Return what a file holds."""
    tally = ParseTally()
    return fit.parse([content[n : n + 100] for n in range(0, len(content), 100)], tally), tally


def test_heart_rates_of_records_are_read() -> None:
    """255 means no rate, and 0 no contact."""
    samples, tally = read(written([(1_750_000_000, 61), (1_750_000_001, 255), (1_750_000_002, 0)]))

    assert samples == [
        Sample(1_750_000_000_000, "heart_rate", 61.0),
        Sample(1_750_000_002_000, "heart_rate", None, SampleFault.OFF_BODY),
    ]
    assert (tally.rows, tally.passed_over, tally.unit) == (2, 1, "/min")


def test_fit_is_known_by_its_mark() -> None:
    """The mark stands in the header."""
    assert fit.is_fit(written([]))
    assert not fit.is_fit(b"\x0e" + b".FIT" * 4)


@pytest.mark.parametrize("cut", [13, 20, -1, -3])
def test_file_that_ends_early_is_refused(cut: int) -> None:
    """The checksum is at the end."""
    with pytest.raises(FileRefused) as raised:
        read(written([(1_750_000_000, 61)] * 10)[:cut])

    assert raised.value.reason is FileReason.MALFORMED


@given(st.data())
def test_no_change_of_bytes_raises_anything_else(data: st.DataObject) -> None:
    """A damaged file is refused, whatever the damage; also one with a good checksum."""
    content = bytearray(written([(1_750_000_000 + n, 61) for n in range(5)]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(12, len(content) - 3))] = data.draw(st.integers(0, 255))
    content[-2:] = struct.pack("<H", crc(bytes(content[:-2])))
    try:
        read(bytes(content))
    except FileRefused:
        pass
