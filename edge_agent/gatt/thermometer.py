"""Thermometers: Temperature Measurement (0x2A1C)."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import date_time
from edge_agent.gatt.conversion import SAME_UNIT, Conversion
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import Number, to_float
from edge_agent.gatt.meaning import Outcome, date, judge
from edge_agent.gatt.octets import Octets, Value
from wire.quantities import Code

# GSS, Temperature Measurement, Flags.
_FAHRENHEIT: Final = 0x01
_TIMESTAMP: Final = 0x02
_SITE: Final = 0x04

_CELSIUS_FROM_FAHRENHEIT: Final = Conversion(5, 9, offset=-32)


class TemperatureUnit(enum.Enum):
    """The unit of the temperature."""

    CELSIUS = "Cel"
    FAHRENHEIT = "[degF]"

    @property
    def to_celsius(self) -> Conversion:
        """From this unit to degrees Celsius."""
        return _CELSIUS_FROM_FAHRENHEIT if self is TemperatureUnit.FAHRENHEIT else SAME_UNIT


class Site(enum.IntEnum):
    """Where the temperature was taken."""

    ARMPIT = 1
    BODY = 2
    EAR = 3
    FINGER = 4
    GASTROINTESTINAL_TRACT = 5
    MOUTH = 6
    RECTUM = 7
    TOE = 8
    TYMPANUM = 9


class TemperatureMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """One temperature, live or stored."""

    temperature: Number
    unit: TemperatureUnit = TemperatureUnit.CELSIUS
    timestamp: DateTime | None = None
    site: int | None = None
    """A `Site`, or a reserved number."""


def decode(value: Value) -> TemperatureMeasurement:
    """
    Read a Temperature Measurement, 0x2A1C.

    Raises:
        DecodeError: A field is incomplete, or the timestamp is invalid.
    """
    octets = Octets(value)
    flags = octets.uint8()
    return TemperatureMeasurement(
        temperature=octets.float32(),
        unit=TemperatureUnit.FAHRENHEIT if flags & _FAHRENHEIT else TemperatureUnit.CELSIUS,
        timestamp=date_time.take(octets) if flags & _TIMESTAMP else None,
        site=octets.uint8() if flags & _SITE else None,
    )


def encode(measurement: TemperatureMeasurement) -> bytes:
    """Return *measurement* as a thermometer sends it."""
    flags = _FAHRENHEIT if measurement.unit is TemperatureUnit.FAHRENHEIT else 0
    body = struct.pack("<I", to_float(measurement.temperature))
    if measurement.timestamp is not None:
        flags |= _TIMESTAMP
        body += date_time.encode(measurement.timestamp)
    if measurement.site is not None:
        flags |= _SITE
        body += bytes((measurement.site,))
    return bytes((flags,)) + body


def observations(measurement: TemperatureMeasurement) -> list[Outcome]:
    """Return the outcome of *measurement*: a body temperature."""
    when, fault = date(measurement.timestamp)
    unit = measurement.unit.to_celsius
    temperature = measurement.temperature
    return [judge(Code.BODY_TEMPERATURE, temperature, unit=unit, when=when, fault=fault)]
