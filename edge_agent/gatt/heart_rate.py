"""Heart rate straps: Heart Rate Measurement (0x2A37), Body Sensor Location (0x2A38)."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt.conversion import Conversion
from edge_agent.gatt.errors import Truncated
from edge_agent.gatt.meaning import LIVE, Outcome, When, judge
from edge_agent.gatt.octets import Octets, Value
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from wire.quantities import Code
from wire.refusals import Refusal

# Heart Rate Service 1.0, section 3.1.1.1: flags.
_UINT16: Final = 0x01
_CONTACT_DETECTED: Final = 0x02
_CONTACT_SUPPORTED: Final = 0x04
_ENERGY: Final = 0x08
_RR: Final = 0x10
# Section 3.1.1.3: the counter stays at its greatest value until it is reset.
_ENERGY_FULL: Final = 0xFFFF
# Section 3.1.1.4: RR-intervals come in units of 1/1024 s, not of 1 ms.
RR_TO_MS: Final = Conversion(1000, 1024)


class HeartRateMeasurement(msgspec.Struct, frozen=True):
    """One Heart Rate Measurement; a strap sends it about once a second."""

    heart_rate_bpm: int
    sensor_contact: bool | None = None
    """Whether the strap touches the skin; None if it cannot detect that."""
    energy_expended_kj: int | None = None
    rr_intervals: tuple[int, ...] = ()
    """In units of 1/1024 s, the oldest first."""


class Location(enum.IntEnum):
    """Where a heart rate sensor is worn."""

    OTHER = 0
    CHEST = 1
    WRIST = 2
    FINGER = 3
    HAND = 4
    EAR_LOBE = 5
    FOOT = 6


class BodySensorLocation(msgspec.Struct, frozen=True):
    """Where the sensor is meant to be worn."""

    code: int
    """A `Location`, or a number that is reserved."""

    @property
    def location(self) -> Location | None:
        """The location, or None if its number is reserved."""
        return Location(self.code) if self.code <= Location.FOOT else None


def decode(value: Value) -> HeartRateMeasurement:
    """
    Read a Heart Rate Measurement, 0x2A37.

    Only the length gives the number of RR-intervals. If their flag is set, at least one is
    required: a strap without one must not set the flag, and a truncated value would look the same.

    Raises:
        DecodeError: A field is missing, or the last RR-interval is incomplete.
    """
    # Without `Octets`, for speed: this value comes every second from each strap.
    length = len(value)
    flags = value[0] if length else 0
    at = 3 if flags & _UINT16 else 2
    end = at + (2 if flags & _ENERGY else 0)
    has_rr = flags & _RR
    if length < end + (2 if has_rr else 0):
        raise Truncated(expected=end + (2 if has_rr else 0), got=length)
    rr: tuple[int, ...] = ()
    if has_rr:
        if (length - end) % 2:
            raise Truncated(expected=length + 1, got=length)
        rr = struct.unpack_from(f"<{(length - end) // 2}H", value, end)
    return HeartRateMeasurement(
        value[1] | value[2] << 8 if flags & _UINT16 else value[1],
        bool(flags & _CONTACT_DETECTED) if flags & _CONTACT_SUPPORTED else None,
        value[at] | value[at + 1] << 8 if flags & _ENERGY else None,
        rr,
    )


def encode(measurement: HeartRateMeasurement) -> bytes:
    """Return *measurement* as a strap sends it."""
    flags, body = 0, struct.pack("<B", measurement.heart_rate_bpm & 0xFF)
    if measurement.heart_rate_bpm > 0xFF:
        flags, body = _UINT16, struct.pack("<H", measurement.heart_rate_bpm)
    if measurement.sensor_contact is not None:
        flags |= _CONTACT_SUPPORTED
        flags |= _CONTACT_DETECTED if measurement.sensor_contact else 0
    if measurement.energy_expended_kj is not None:
        flags |= _ENERGY
        body += struct.pack("<H", measurement.energy_expended_kj)
    if measurement.rr_intervals:
        flags |= _RR
        body += struct.pack(f"<{len(measurement.rr_intervals)}H", *measurement.rr_intervals)
    return bytes((flags,)) + body


def decode_location(value: Value) -> BodySensorLocation:
    """
    Read a Body Sensor Location, 0x2A38.

    Raises:
        DecodeError: It is not one byte.
    """
    octets = Octets(value)
    location = BodySensorLocation(octets.uint8())
    octets.end()
    return location


def encode_location(location: BodySensorLocation) -> bytes:
    """Return *location* as a strap sends it."""
    return bytes((location.code,))


def observations(measurement: HeartRateMeasurement, quirks: Quirks = NO_QUIRKS) -> list[Outcome]:
    """
    Return the outcomes of *measurement*: heart rate, RR-intervals, energy expended.

    An RR-interval is dated by the beat that ends it. The newest one ends when the value is sent.
    """
    fault = _fault(measurement, quirks)
    outcomes = [judge(Code.HEART_RATE, measurement.heart_rate_bpm, fault=fault)]
    before = sum(measurement.rr_intervals)
    for units in measurement.rr_intervals:
        before -= units
        when = When(before_ms=RR_TO_MS.steps(before, 1)) if before else LIVE
        outcomes.append(judge(Code.RR_INTERVAL, units, unit=RR_TO_MS, when=when, fault=fault))
    energy_kj = measurement.energy_expended_kj
    if energy_kj is not None:
        full = Refusal.SATURATED if energy_kj == _ENERGY_FULL else None
        outcomes.append(judge(Code.ENERGY_EXPENDED, energy_kj, fault=full))
    return outcomes


def _fault(measurement: HeartRateMeasurement, quirks: Quirks) -> Refusal | None:
    # Sensors send 0 when they are not worn. It does not mean cardiac arrest.
    if measurement.heart_rate_bpm == 0:
        return Refusal.OFF_BODY
    if measurement.sensor_contact is False and not quirks.contact_unreliable:
        return Refusal.OFF_BODY
    return None
