"""Battery Level (0x2A19)."""

import msgspec

from edge_agent.gatt.errors import ReservedValue
from edge_agent.gatt.meaning import Outcome, judge
from edge_agent.gatt.octets import Octets, Value
from wire.quantities import Code


class BatteryLevel(msgspec.Struct, frozen=True):
    """The charge of the sensor's battery."""

    percent: int


def decode(value: Value) -> BatteryLevel:
    """
    Read a Battery Level.

    Raises:
        DecodeError: The value is not one byte from 0 to 100.
    """
    octets = Octets(value)
    percent = octets.uint8()
    # GSS, Battery Level: 101 to 255 are reserved.
    if percent > 100:
        raise ReservedValue("battery level")
    octets.end()
    return BatteryLevel(percent)


def encode(level: BatteryLevel) -> bytes:
    """Return *level* as a sensor sends it."""
    return bytes((level.percent,))


def observations(level: BatteryLevel) -> list[Outcome]:
    """Return the outcome of *level*: a battery level in percent."""
    return [judge(Code.BATTERY_LEVEL, level.percent)]
