"""
Data flow again by themselves within 60 s after each failure, with the settings of a real
gateway.
"""

import asyncio
import itertools
import sys
from collections.abc import Callable, Coroutine

import pytest

from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.sensors import RadioTimeouts
from tests.bluez.bluetoothd import Bluetoothd
from tests.bluez.sensors import STRAP, Strap
from tests.fakes.bluetooth import collecting
from tests.fixtures.bluez import Machine
from wire.quantities import Code

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

LIMIT_S = 60.0
Harm = Callable[[Machine, Strap], Coroutine[None, None, None]]


async def sensor_drops(_: Machine, strap: Strap) -> None:
    """The sensor drops its link, and returns at once."""
    await strap.drop()


async def daemon_is_killed(machine: Machine, _: Strap) -> None:
    """Bluetoothd is killed, and systemd starts it again."""
    await machine.bluetoothd.kill()
    await asyncio.sleep(1.0)
    await machine.bluetoothd.start()


async def daemon_stays_dead(machine: Machine, _: Strap) -> None:
    """Bluetoothd is killed, and starts again only when systemd is asked to."""
    systemd = Bluetoothd()
    await machine.bluetoothd.kill()
    systemd.on_restart = machine.bluetoothd.start
    await systemd.start_systemd()


async def daemon_hangs(machine: Machine, _: Strap) -> None:
    """Bluetoothd does not answer any more, until it is restarted."""
    bluetoothd = machine.bluetoothd
    bluetoothd.hangs |= {
        *("Connect", "Disconnect", "ReadValue", "StartNotify", "StartDiscovery"),
        *("StopDiscovery", "SetDiscoveryFilter", "GetManagedObjects", "Set", "Ping"),
    }
    bluetoothd.is_mute = True

    async def restart() -> None:
        bluetoothd.hangs.clear()
        bluetoothd.is_mute = False
        await bluetoothd.kill()
        await asyncio.sleep(0.5)
        await bluetoothd.start(systemd=True)

    bluetoothd.on_restart = restart


async def adapter_is_pulled(machine: Machine, _: Strap) -> None:
    """The adapter is unplugged, and inserted again switched off."""
    await machine.bluetoothd.remove_adapter()
    await asyncio.sleep(2.0)
    await machine.bluetoothd.insert_adapter(powered=False)


async def adapter_is_off(machine: Machine, _: Strap) -> None:
    """A user switches the adapter off."""
    await machine.bluetoothd.switch_off()


async def scan_is_wedged(machine: Machine, strap: Strap) -> None:
    """
    The sensor drops its link, and each scan is refused until the adapter is switched off
    and on.
    """
    bluetoothd = machine.bluetoothd
    bluetoothd.errors["StartDiscovery"] = "org.bluez.Error.InProgress"
    bluetoothd.on_power_off = bluetoothd.errors.clear
    await strap.drop()


async def bus_dies(machine: Machine, _: Strap) -> None:
    """The system's D-Bus restarts, and bluetoothd with it."""
    machine.bus.kill()
    await machine.bluetoothd.kill()
    await asyncio.sleep(1.0)
    machine.bus.start()
    await machine.bluetoothd.start()


async def sensor_is_mute(_: Machine, strap: Strap) -> None:
    """A connection carries no values, until it is made again."""
    strap.is_silent = True
    strap.on_connect = lambda: setattr(strap, "is_silent", False)


@pytest.mark.parametrize(
    "harm",
    [
        sensor_drops,
        daemon_is_killed,
        daemon_stays_dead,
        daemon_hangs,
        adapter_is_pulled,
        adapter_is_off,
        scan_is_wedged,
        bus_dies,
        sensor_is_mute,
    ],
)
async def test_data_flow_again(machine: Machine, harm: Harm) -> None:
    """Data flow again after a failure of sensor, adapter, daemon or bus."""
    strap = Strap(period_s=0.1)
    machine.bluetoothd.add(strap)
    strap.wear()

    async with collecting(Radio(), BluezHost(), {STRAP: 0}, patience=RadioTimeouts()) as collector:
        await collector.until(lambda: len(collector.of(Code.HEART_RATE)) >= 10, within_s=30)
        made, began_ms = strap.connections, collector.of(Code.HEART_RATE)[-1].at_ms
        hurting = asyncio.create_task(harm(machine, strap))
        await collector.until(lambda: strap.connections > made, within_s=LIMIT_S)
        again = len(collector.of(Code.HEART_RATE))
        await collector.until(lambda: len(collector.of(Code.HEART_RATE)) >= again + 5)
        await hurting

    times_ms = [m.at_ms for m in collector.of(Code.HEART_RATE) if m.at_ms >= began_ms]
    gap_s = max(after - before for before, after in itertools.pairwise(times_ms)) / 1000
    sys.stdout.write(f"{harm.__name__}: {gap_s:.1f} s\n")
    assert gap_s < LIMIT_S
