"""Recovery of the radio."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from edge_agent.bluetooth.errors import (
    BluetoothError,
    Flooding,
    GaveUp,
    LinkLost,
    NotAuthorised,
    PoweredOff,
    Silent,
    StackError,
)
from edge_agent.bluetooth.radio.escalation import EscalationDelays, FailureKind
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.bluetooth.radio.recovery import Recovery, trouble_of
from tests.fakes.bluetooth import ToldHost
from tests.fakes.edge_agent import ManualClock

STEPS = EscalationDelays(new_scanner_s=5, power_cycle_s=10, restart_s=20, exit_s=300)


class Scene:
    """A recovery, and the objects that it acts on."""

    def __init__(self) -> None:
        self.host = ToldHost()
        self.clock = ManualClock()
        self.is_serving = False
        self.is_up = True
        self.scans = 0
        self.recovery = Recovery(
            host=self.host,
            clock=self.clock,
            metrics=RadioMetrics(CollectorRegistry()),
            steps=STEPS,
            is_serving=lambda: self.is_serving,
            renew_scanner=self.renew,
            host_is_up=lambda: self.is_up,
        )

    def renew(self) -> None:
        """Count a new scan."""
        self.scans += 1

    async def fail(self, error: BluetoothError, seconds: int) -> None:
        """Fail each second."""
        for _ in range(seconds):
            await self.recovery.failed(error)
            self.clock.pass_s(1.0)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (StackError("scanning"), FailureKind.STACK),
        (LinkLost(), FailureKind.LINK),
        (Silent(), None),
        (NotAuthorised(), None),
        (Flooding(), None),
    ],
)
async def test_only_the_radios_failures_climb(
    error: BluetoothError, trouble: FailureKind | None
) -> None:
    """Failures of a sensor itself never escalate."""
    scene = Scene()

    await scene.fail(error, 100)

    assert trouble_of(error) is trouble
    assert (scene.host.done["power_cycle"] > 0) == (trouble is not None)
    assert (scene.host.done["restart"] > 0) == (trouble is FailureKind.STACK)


async def test_what_is_off_is_switched_on_at_once() -> None:
    """An adapter that is off is switched on at once."""
    scene = Scene()
    await scene.recovery.failed(PoweredOff())
    assert scene.host.done == {"power_on": 1}


async def test_links_that_deliver_are_spared_but_not_for_ever() -> None:
    """Working links delay a disruptive action for a hanging scan, but not for ever."""
    scene = Scene()
    scene.is_serving = True

    await scene.fail(StackError("scanning"), 30)
    assert not scene.host.done
    assert scene.scans >= 2

    await scene.fail(StackError("scanning"), 60)
    assert scene.host.done["power_cycle"] == 1


async def test_a_dead_daemon_is_restarted_without_detour() -> None:
    """A dead bluetoothd is restarted without earlier actions."""
    scene = Scene()
    scene.is_up = False

    await scene.fail(StackError("scanning"), 12)

    assert scene.host.done == {"restart": 1}


async def test_at_the_top_we_leave() -> None:
    """
    When no action has helped for long, the process exits for the service manager to
    restart it.
    """
    scene = Scene()
    with pytest.raises(GaveUp):
        await scene.fail(StackError("scanning"), 400)


async def test_a_recovery_that_fails_is_no_failure_of_ours() -> None:
    """If a recovery action itself fails, the other actions are still tried."""
    scene = Scene()

    async def refuse() -> None:
        raise StackError("restart")

    scene.host.restart = refuse  # type: ignore[method-assign]
    await scene.fail(StackError("scanning"), 100)
    assert scene.host.done["power_cycle"] >= 2


async def test_whoever_waits_is_woken_when_the_host_is_back() -> None:
    """A pause ends as soon as the host's Bluetooth is back."""
    scene = Scene()
    waiting = asyncio.create_task(scene.recovery.pause(60))
    await asyncio.sleep(0)
    scene.recovery.wake()
    async with asyncio.timeout(1):
        await waiting
