"""Stored records through a real BlueZ: none is lost or doubled, whatever interrupts a report."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.sensors import RadioTimeouts
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from tests.bluetooth.air import METER, meter_with, places
from tests.fakes.bluetooth import collecting
from tests.radio.conftest import Figures
from tests.radio.machine import RadioMachine

pytestmark = [pytest.mark.radio, pytest.mark.timeout(900)]

PATIENCE_S = 300.0
FEW = 6
FEW_VALUES = 9
"""The newest record, then all of them, of which every third has a context."""
MANY = 200


async def test_a_drop_at_each_value_of_a_report(machine: RadioMachine, figures: Figures) -> None:
    """Nine meters each drop their link at another of their values."""
    meters = [
        meter_with(FEW, f"drop@{place}", address=f"C0:FF:EE:00:01:{place:02X}")
        for place in range(1, FEW_VALUES + 1)
    ]
    async with (
        machine.hearing(*meters),
        collecting(
            Radio(), BluezHost(), {one.address: 0 for one in meters}, patience=RadioTimeouts()
        ) as collector,
    ):
        await collector.until(
            lambda: collector.value("record_fetches_total") >= len(meters), within_s=PATIENCE_S
        )
        figures.lap("nine meters read, each after a drop, after")
        await collector.during(1.0)
        # At the end each meter is switched off, which drops the remaining links once more.
        drops = [one.books.drops for one in meters]

    assert drops == [1] * len(meters)
    for one in meters:
        taken = [m for m in collector.taken_of_records() if m.sensor == one.address]
        assert places(taken) == [(0, n) for n in range(1, FEW + 1)], one.address


async def kill(machine: RadioMachine, _: GlucoseMeter) -> None:
    """Kill bluetoothd, which systemd starts again."""
    machine.bluetoothd.kill()
    await asyncio.sleep(1.0)
    machine.bluetoothd.start()


async def pull(machine: RadioMachine, meter: GlucoseMeter) -> None:
    """Remove the adapter, and insert it again."""
    await machine.pull()
    await asyncio.sleep(2.0)
    await machine.plug_in(meter)


@pytest.mark.parametrize("harm", [kill, pull])
async def test_records_survive_what_breaks_off_a_report(
    machine: RadioMachine,
    figures: Figures,
    harm: Callable[[RadioMachine, GlucoseMeter], Coroutine[Any, Any, None]],
) -> None:
    """
    If bluetoothd dies or the adapter is removed during a report, the remaining records come
    afterwards.
    """
    meter = meter_with(MANY)
    meter.access.gap_s = 0.05
    async with (
        machine.hearing(meter),
        collecting(Radio(), BluezHost(), {METER: 0}, patience=RadioTimeouts()) as collector,
    ):
        await collector.until(
            lambda: len(collector.taken_of_records()) >= MANY // 4, within_s=PATIENCE_S
        )
        before = len(collector.taken_of_records())
        assert before < MANY, "the report was over before it could be broken off"
        hurting = asyncio.create_task(harm(machine, meter))
        began = asyncio.get_running_loop().time()
        await collector.until(
            lambda: len(collector.taken_of_records()) > before + MANY // 4, within_s=PATIENCE_S
        )
        figures.note("records came again after", asyncio.get_running_loop().time() - began)
        await hurting
        await collector.until(
            lambda: collector.value("record_fetches_total") >= 1, within_s=PATIENCE_S
        )
        await collector.during(1.0)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, MANY + 1)]
