"""Battery levels."""

import pytest

from edge_agent.gatt import (
    battery,
)
from edge_agent.gatt.battery import BatteryLevel
from edge_agent.gatt.errors import ReservedValue, TrailingBytes


def test_battery_above_100_is_reserved() -> None:
    """A level above 100 is reserved, and neither limited nor taken for full."""
    assert battery.decode(b"\x64") == BatteryLevel(100)
    with pytest.raises(ReservedValue):
        battery.decode(b"\x65")
    with pytest.raises(TrailingBytes):
        battery.decode(b"\x64\x00")
