"""
The session of a CGM sensor: CGM Feature (0x2AA8), Status (0x2AA9), Session Start Time (0x2AAA)
and Session Run Time (0x2AAB).
"""

import datetime
import enum
import struct
from typing import Final, Literal

import msgspec

from edge_agent.gatt import crc, date_time
from edge_agent.gatt.date_time import DateTime, Zone
from edge_agent.gatt.errors import BadCrc
from edge_agent.gatt.octets import Octets, Value, nibbles
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks

_NO_CRC: Final = 0xFFFF


class Feature(enum.IntFlag):
    """GSS, CGM Feature: the bits that a collector needs."""

    CALIBRATION = 1 << 0
    E2E_CRC = 1 << 12
    MULTIPLE_BONDS = 1 << 13
    MULTIPLE_SESSIONS = 1 << 14
    TREND = 1 << 15
    QUALITY = 1 << 16


class CgmFeature(msgspec.Struct, frozen=True):
    """The features of a sensor, its sample type and its location."""

    bits: int
    """24 bits, those of `Feature` among them."""
    sample_type: int
    location: int

    @property
    def e2e_crc(self) -> bool:
        """Whether the other values of the sensor end in a checksum: `Quirks.e2e_crc`."""
        return bool(self.bits & Feature.E2E_CRC)


class CgmStatus(msgspec.Struct, frozen=True):
    """The status of the sensor."""

    time_offset_min: int
    """Minutes since the start of the session."""
    annunciation: int
    """Bits of `cgm.Annunciation`."""


class SessionStart(msgspec.Struct, frozen=True):
    """When the session began, as a collector has told the sensor."""

    date_time: DateTime
    zone: Zone

    def began_at(self) -> datetime.datetime | None:
        """Return the start of the session; None if date, zone or DST are not known."""
        local = self.date_time.as_datetime()
        offset = self.zone.utc_offset()
        if local is None or offset is None:
            return None
        return local.replace(tzinfo=datetime.timezone(offset))


class SessionRunTime(msgspec.Struct, frozen=True):
    """The expected run time of a session, in hours."""

    hours: int


def decode_feature(value: Value, quirks: Quirks = NO_QUIRKS) -> CgmFeature:
    """
    Read a CGM Feature, 0x2AA8.

    Raises:
        DecodeError: The value is not six bytes long, or its checksum does not match.
    """
    octets = Octets(value)
    feature = CgmFeature(octets.unsigned(3), *nibbles(octets.uint8()))
    # GSS, CGM Feature, E2E-CRC: the field is always present, and usually 0xFFFF if checksums are
    # not supported. Other numbers are rejected here, because otherwise one flipped bit in the
    # features would hide a wrong checksum.
    expected = crc.crc16(quirks.crc, value[: octets.at]) if feature.e2e_crc else _NO_CRC
    matches = octets.uint16() == expected
    octets.end()
    if not matches:
        raise BadCrc
    return feature


def encode_feature(feature: CgmFeature, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return *feature* as a sensor sends it, with a checksum if its own bit says so."""
    halves = feature.location << 4 | feature.sample_type
    body = feature.bits.to_bytes(3, "little") + bytes((halves,))
    check = crc.crc16(quirks.crc, body) if feature.e2e_crc else _NO_CRC
    return body + struct.pack("<H", check)


def decode_status(value: Value, quirks: Quirks = NO_QUIRKS) -> CgmStatus:
    """
    Read a CGM Status, 0x2AA9.

    Raises:
        DecodeError: The length is wrong, or the checksum does not match.
    """
    octets = Octets(value)
    time_offset_min = octets.uint16()
    annunciation = int.from_bytes(
        bytes(octets.uint8() for _ in range(3)), "big" if quirks.warning_first else "little"
    )
    crc.finish(octets, value, quirks)
    return CgmStatus(time_offset_min, annunciation)


def encode_status(status: CgmStatus, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return *status* as a sensor sends it."""
    order: Literal["big", "little"] = "big" if quirks.warning_first else "little"
    body = struct.pack("<H", status.time_offset_min) + status.annunciation.to_bytes(3, order)
    return crc.append(body, quirks)


def decode_start(value: Value, quirks: Quirks = NO_QUIRKS) -> SessionStart:
    """
    Read a CGM Session Start Time, 0x2AAA.

    Raises:
        DecodeError: The length is wrong, a field is out of its range, or the checksum does not
            match.
    """
    octets = Octets(value)
    start = date_time.take(octets)
    zone = Zone(date_time.take_zone(octets), date_time.take_dst(octets))
    crc.finish(octets, value, quirks)
    return SessionStart(start, zone)


def encode_start(start: SessionStart, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return *start* as a sensor sends it, and a collector writes it."""
    body = date_time.encode(start.date_time) + date_time.encode_local_time(start.zone)
    return crc.append(body, quirks)


def decode_run_time(value: Value, quirks: Quirks = NO_QUIRKS) -> SessionRunTime:
    """
    Read a CGM Session Run Time, 0x2AAB.

    Raises:
        DecodeError: The length is wrong, or the checksum does not match.
    """
    octets = Octets(value)
    run_time = SessionRunTime(octets.uint16())
    crc.finish(octets, value, quirks)
    return run_time


def encode_run_time(run_time: SessionRunTime, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return *run_time* as a sensor sends it."""
    return crc.append(struct.pack("<H", run_time.hours), quirks)
