"""
Hostile sensors with a real BlueZ: they are counted and limited, and other sensors are not
affected.
"""

import pytest

from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.records import record_assembler
from edge_agent.bluetooth.sensors import RadioTimeouts
from edge_agent.gatt import heart_rate
from simulators.sensor.device.faults import Faults
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap
from tests.bluetooth.air import METER, STRAP, meter_with, places
from tests.bluetooth.straps import counting, strap
from tests.fakes.bluetooth import Collector, collecting
from tests.radio.conftest import Figures
from tests.radio.machine import RadioMachine
from tests.support.readings import value_of
from wire.quantities import Code
from wire.refusals import Refusal

pytestmark = [pytest.mark.radio, pytest.mark.timeout(900)]

PATIENCE_S = 300.0
LOUD = "C0:FF:EE:00:02:01"
FAT = "C0:FF:EE:00:02:02"


def ended(collector: Collector, ending: str) -> bool:
    """Tell whether an attempt ended with *ending*."""
    return collector.value("sensor_attempts_total", ending=ending) >= 1


def of_the_good(collector: Collector) -> list[float | None]:
    """Return the heart rates of the honest strap."""
    return [value_of(m) for m in collector.of(Code.HEART_RATE, sensor=STRAP)]


async def test_hostile_sensors_are_counted_and_left(
    machine: RadioMachine, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A flood, attributes of 512 bytes, control characters in a name and an endless report are
    counted and ended.
    """
    monkeypatch.setattr(record_assembler, "MAX_REPEATED", 500)
    name = "\x1b[2J\x00\r\nHR\x7f"
    good = strap(period_s=1.0)
    fat = HeartRateStrap(FAT, counting(), name=name, faults=Faults("oversized@1-30"))
    sensors = [good, fat, strap("flood=1000", address=LOUD), meter_with(4, "endless@3")]
    async with (
        machine.hearing(*sensors),
        collecting(
            Radio(), BluezHost(), {one.address: 0 for one in sensors}, patience=RadioTimeouts()
        ) as collector,
    ):
        await collector.until(lambda: ended(collector, "endless"), within_s=PATIENCE_S)
        figures.lap("an endless report was ended after")
        await collector.until(lambda: ended(collector, "flooding"), within_s=PATIENCE_S)
        figures.lap("a flood was left after")
        before = len(of_the_good(collector))
        await collector.until(
            lambda: len(of_the_good(collector)) >= before + 10, within_s=PATIENCE_S
        )
        assert machine.bluetoothd.is_alive

    assert collector.refused[Refusal.FLOOD] >= 2000
    oversized = {"characteristic": "battery_level", "reason": "trailing_bytes"}
    assert collector.value("decode_errors_total", **oversized) >= 1
    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 5)]
    assert {m.sensor for m in collector.taken_of_records()} == {METER}
    came = of_the_good(collector)
    assert came == [heart_rate.decode(value).heart_rate_bpm for value in good.sent][: len(came)]
