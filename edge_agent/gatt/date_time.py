"""
Clocks of sensors: Date Time (0x2A08), Current Time (0x2A2B), zones (0x2A0E, 0x2A0F, 0x2A14).

Date and time are as the owner of the sensor set them: local, without a zone, often never set.
"""

import datetime
import struct
from typing import Final

import msgspec

from edge_agent.gatt.errors import ReservedValue
from edge_agent.gatt.octets import Octets, Value

# GSS, Date Time: years 1582 to 9999; 0 means not known, and so it does for month and day.
_FIRST_YEAR: Final = 1582
_LAST_YEAR: Final = 9999
# GSS, Time Zone: -48 to +56 quarters of an hour; -128 means not known.
_ZONES: Final = range(-48, 57)
_ZONE_UNKNOWN: Final = -128
# GSS, DST Offset: in quarters of an hour too; 255 means not known.
_DST: Final = frozenset({0, 2, 4, 8})
_DST_UNKNOWN: Final = 255
_MINUTES_PER_QUARTER: Final = 15


class DateTime(msgspec.Struct, frozen=True):
    """Date and time of day, as a sensor sends it. The day need not exist."""

    year: int | None
    month: int | None
    day: int | None
    hour: int
    minute: int
    second: int

    def as_datetime(self) -> datetime.datetime | None:
        """Return a datetime without a zone; None if date or day are unknown or do not exist."""
        if self.year is None or self.month is None or self.day is None:
            return None
        try:
            return datetime.datetime(  # noqa: DTZ001 (the sensor does not tell its zone)
                self.year, self.month, self.day, self.hour, self.minute, self.second
            )
        except ValueError:
            # Each field is in its range, but not every month has 31 days.
            return None


class Zone(msgspec.Struct, frozen=True):
    """The zone of a clock. Local time is UTC plus zone plus DST."""

    zone_quarters: int | None
    """Offset from UTC in quarters of an hour; None if not known."""
    dst_quarters: int | None
    """What daylight saving time adds, in quarters of an hour; None if not known."""

    def utc_offset(self) -> datetime.timedelta | None:
        """Return how far local time is ahead of UTC; None if zone or DST are not known."""
        if self.zone_quarters is None or self.dst_quarters is None:
            return None
        quarters = self.zone_quarters + self.dst_quarters
        return datetime.timedelta(minutes=_MINUTES_PER_QUARTER * quarters)


class CurrentTime(msgspec.Struct, frozen=True):
    """What the clock of a sensor shows."""

    date_time: DateTime
    day_of_week: int
    """1 Monday .. 7 Sunday; 0 if not known."""
    fractions256: int
    """In 1/256 s."""
    adjust_reason: int
    """Reason of the last change, bits: 0 manual, 1 reference, 2 zone, 3 DST; others reserved."""


class ReferenceTime(msgspec.Struct, frozen=True):
    """The source of a clock's time, and the age of its last update."""

    source: int
    accuracy_eighths_s: int
    """254 means beyond the range, 255 not known."""
    days: int
    hours: int
    """255 in both means 255 days or more."""


def take(octets: Octets) -> DateTime:
    """
    Read the seven bytes of a Date Time from a longer value.

    Raises:
        DecodeError: Bytes are missing, or a field is out of its range.
    """
    year = octets.uint16()
    month, day, hour, minute, second = (octets.uint8() for _ in range(5))
    if year and not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise ReservedValue("year")
    if month > 12 or day > 31:
        raise ReservedValue("date")
    if hour > 23 or minute > 59 or second > 59:
        raise ReservedValue("time of day")
    return DateTime(year or None, month or None, day or None, hour, minute, second)


def decode(value: Value) -> DateTime:
    """
    Read a Date Time, 0x2A08.

    Raises:
        DecodeError: The bytes are not such a value.
    """
    octets = Octets(value)
    date_time = take(octets)
    octets.end()
    return date_time


def encode(date_time: DateTime) -> bytes:
    """Return *date_time* as a sensor sends it."""
    return struct.pack(
        "<H5B",
        date_time.year or 0,
        date_time.month or 0,
        date_time.day or 0,
        date_time.hour,
        date_time.minute,
        date_time.second,
    )


def decode_current_time(value: Value) -> CurrentTime:
    """
    Read a Current Time, 0x2A2B.

    Raises:
        DecodeError: The bytes are not such a value.
    """
    octets = Octets(value)
    date_time = take(octets)
    day_of_week = octets.uint8()
    if day_of_week > 7:
        raise ReservedValue("day of week")
    current = CurrentTime(date_time, day_of_week, octets.uint8(), octets.uint8())
    octets.end()
    return current


def encode_current_time(current: CurrentTime) -> bytes:
    """Return *current* as a sensor sends it."""
    return encode(current.date_time) + bytes(
        (current.day_of_week, current.fractions256, current.adjust_reason)
    )


def take_zone(octets: Octets) -> int | None:
    """
    Read a Time Zone from a longer value.

    Raises:
        DecodeError: The byte is missing, or its number is reserved.
    """
    # GSS says sint8 for the characteristic and uint8 where CGM Session Start Time refers to it;
    # the bits are the same, and a zone west of Greenwich must not become one far in the east.
    zone = octets.signed(1)
    if zone == _ZONE_UNKNOWN:
        return None
    if zone not in _ZONES:
        raise ReservedValue("time zone")
    return zone


def take_dst(octets: Octets) -> int | None:
    """
    Read a DST Offset from a longer value.

    Raises:
        DecodeError: The byte is missing, or its number is reserved.
    """
    dst = octets.uint8()
    if dst == _DST_UNKNOWN:
        return None
    if dst not in _DST:
        raise ReservedValue("DST offset")
    return dst


def decode_zone(value: Value) -> Zone:
    """
    Read a Time Zone, 0x2A0E, whose DST is not known.

    Raises:
        DecodeError: The bytes are not such a value.
    """
    octets = Octets(value)
    zone = Zone(take_zone(octets), None)
    octets.end()
    return zone


def decode_local_time(value: Value) -> Zone:
    """
    Read a Local Time Information, 0x2A0F.

    Raises:
        DecodeError: The bytes are not such a value.
    """
    octets = Octets(value)
    zone = Zone(take_zone(octets), take_dst(octets))
    octets.end()
    return zone


def encode_zone(zone: Zone) -> bytes:
    """Return *zone* as a Time Zone, without its DST."""
    return encode_local_time(zone)[:1]


def encode_local_time(zone: Zone) -> bytes:
    """Return *zone* as a Local Time Information."""
    return struct.pack(
        "<bB",
        _ZONE_UNKNOWN if zone.zone_quarters is None else zone.zone_quarters,
        _DST_UNKNOWN if zone.dst_quarters is None else zone.dst_quarters,
    )


def decode_reference_time(value: Value) -> ReferenceTime:
    """
    Read a Reference Time Information, 0x2A14.

    Raises:
        DecodeError: The bytes are not such a value.
    """
    octets = Octets(value)
    reference = ReferenceTime(octets.uint8(), octets.uint8(), octets.uint8(), octets.uint8())
    if reference.hours > 23 and reference.hours != 255:
        raise ReservedValue("hours since update")
    octets.end()
    return reference


def encode_reference_time(reference: ReferenceTime) -> bytes:
    """Return *reference* as a sensor sends it."""
    return bytes((reference.source, reference.accuracy_eighths_s, reference.days, reference.hours))
