"""With a real BlueZ, data flow again within 60 s after each failure, without any person."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.sensors import RadioTimeouts
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap
from tests.bluetooth.air import STRAP, rates
from tests.bluetooth.straps import strap
from tests.bluez.bluetoothd import Bluetoothd
from tests.fakes.bluetooth import Collector, collecting
from tests.radio.conftest import Figures
from tests.radio.machine import RadioMachine

pytestmark = [pytest.mark.radio, pytest.mark.timeout(600)]

LIMIT_S = 60.0
PATIENCE_S = 180.0
PERIOD_S = 0.25
Harm = Callable[[RadioMachine, HeartRateStrap], Coroutine[Any, Any, None]]


async def sensor_drops(_: RadioMachine, worn: HeartRateStrap) -> None:
    """The sensor drops its link, and returns at once."""
    await worn.drop()


async def daemon_is_killed(machine: RadioMachine, _: HeartRateStrap) -> None:
    """Bluetoothd is killed, and started again as by systemd."""
    machine.bluetoothd.kill()
    await asyncio.sleep(1.0)
    machine.bluetoothd.start()


async def daemon_stays_dead(machine: RadioMachine, _: HeartRateStrap) -> None:
    """Bluetoothd is killed, and starts again only when systemd is asked to."""
    systemd = Bluetoothd()

    async def restart() -> None:
        machine.bluetoothd.start()

    systemd.on_restart = restart
    machine.bluetoothd.kill()
    await systemd.start_systemd()


async def adapter_is_pulled(machine: RadioMachine, worn: HeartRateStrap) -> None:
    """The adapter is removed, and inserted again."""
    await machine.pull()
    await asyncio.sleep(3.0)
    await machine.plug_in(worn)


@pytest.mark.parametrize(
    "harm", [sensor_drops, daemon_is_killed, daemon_stays_dead, adapter_is_pulled]
)
async def test_data_flow_again_and_come_once(
    machine: RadioMachine, figures: Figures, harm: Harm
) -> None:
    """Within a minute after a failure data flow again, and no value comes twice."""
    worn = strap(period_s=PERIOD_S)
    async with (
        machine.hearing(worn),
        collecting(Radio(), BluezHost(), {STRAP: 0}, patience=RadioTimeouts()) as collector,
    ):
        await collector.until(lambda: len(rates(collector)) >= 10, within_s=PATIENCE_S)
        figures.lap("first values after")
        links = collector.value("sensor_connections_total")
        hurting = asyncio.create_task(harm(machine, worn))
        began = time.monotonic()
        await collector.until(
            lambda: collector.value("sensor_connections_total") > links, within_s=LIMIT_S
        )
        before = len(rates(collector))
        await collector.until(lambda: len(rates(collector)) > before, within_s=LIMIT_S)
        took_s = time.monotonic() - began
        figures.note("data flowed again after", took_s)
        await hurting
        await collector.during(20 * PERIOD_S)

    assert took_s < LIMIT_S
    assert_once(collector)


async def test_drops_in_a_row_multiply_nothing(machine: RadioMachine, figures: Figures) -> None:
    """After six drops a value still comes once, because no registration outlives its link."""
    worn = strap("drop@12-/12", period_s=PERIOD_S)
    async with (
        machine.hearing(worn),
        collecting(Radio(), BluezHost(), {STRAP: 0}, patience=RadioTimeouts()) as collector,
    ):
        await collector.until(lambda: worn.books.drops >= 6, within_s=2 * PATIENCE_S)
        figures.lap("six drops after")
        before, sent = len(rates(collector)), worn.books.notifications
        await collector.until(lambda: worn.books.notifications >= sent + 8, within_s=PATIENCE_S)
        await collector.during(1.0)
        assert len(rates(collector)) - before <= worn.books.notifications - sent

    assert_once(collector)


def assert_once(collector: Collector) -> None:
    """Check that the counting strap's values came in order, and none twice."""
    came = [int(rate or 0) for rate in rates(collector)]
    steps = [(after - one) % 100 for one, after in pairwise(came)]
    assert all(0 < step < 50 for step in steps), came
