"""
Sensors that want a bond, have lost it, or do not answer: each gets its own error, over
D-Bus.
"""

import pytest

from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.metrics import Ending
from edge_agent.bluetooth.radio.pairing import pair
from tests.bluez.sensors import STRAP, Strap
from tests.fakes.bluetooth import Collector, collecting
from tests.fixtures.bluez import Machine
from wire.quantities import Code


def worn(machine: Machine) -> Strap:
    """Return a strap that measures."""
    strap = Strap()
    machine.bluetoothd.add(strap)
    strap.wear()
    return strap


def attempts(collector: Collector, *endings: str) -> float:
    """Return how many attempts ended with one of *endings*; all attempts if none is named."""
    return sum(
        collector.value("sensor_attempts_total", ending=one) for one in set(endings or Ending)
    )


async def flow(collector: Collector) -> None:
    """Wait until heart rates come."""
    before = len(collector.of(Code.HEART_RATE))
    await collector.until(lambda: len(collector.of(Code.HEART_RATE)) >= before + 5, within_s=30)


def assert_left_alone(collector: Collector) -> None:
    """Check that no recovery action was taken for a sensor that wants a bond."""
    for action in ("new_scanner", "power_cycle", "restart_bluetoothd"):
        assert collector.value("recoveries_total", action=action) == 0


@pytest.mark.parametrize(
    ("is_paired", "deaf_s", "ending"),
    [
        pytest.param(True, None, "timed_out", id="bonded"),
        # BlueZ holds back an answer by which a sensor asks for a bond, for ever.
        pytest.param(False, None, "not_authorised", id="wants-a-bond"),
        # BlueZ ends a read that a sensor does not answer in the same way.
        pytest.param(False, 0.6, "timed_out", id="deaf"),
        pytest.param(True, 0.6, "timed_out", id="bonded-and-deaf"),
    ],
)
async def test_a_call_that_does_not_return_is_given_up(
    machine: Machine, is_paired: bool, deaf_s: float | None, ending: str
) -> None:
    """
    The first call that does not return is abandoned soon; the second waits longer, to find the
    cause.
    """
    strap = worn(machine)
    strap.hangs, strap.deaf_s = deaf_s is None, deaf_s
    strap.is_paired = is_paired

    radio = Radio(call_s=0.3, bonding_s=2.0)
    async with collecting(radio, BluezHost(), {STRAP: 0}) as collector:
        await collector.until(lambda: attempts(collector) >= 3, within_s=30)
        assert attempts(collector, "timed_out", ending) == attempts(collector)
        assert attempts(collector, "timed_out") == 1 or ending == "timed_out"
        strap.hangs, strap.deaf_s = False, None
        await flow(collector)


async def test_a_sensor_that_forgot_its_bond_is_named_and_paired_anew(machine: Machine) -> None:
    """A lost bond is reported as an error of the sensor alone, and a person can pair it again."""
    strap = worn(machine)
    strap.is_paired = strap.has_forgotten = True

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await collector.until(lambda: attempts(collector, "bond_refused") >= 3, within_s=30)
        assert attempts(collector) == attempts(collector, "bond_refused")
    await pair(STRAP, Radio(), None, window_s=30, anew=True)
    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as again:
        await flow(again)

    assert_left_alone(collector)


async def test_a_link_that_ends_while_it_is_made_is_no_refused_bond(machine: Machine) -> None:
    """
    Without a bond, the same BlueZ error means an interrupted connection and not a
    refused bond.
    """
    strap = worn(machine)
    strap.connect_error = "br-connection-canceled"

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow(collector)

    assert attempts(collector, "other") == 1
    assert attempts(collector, "bond_refused") == 0


async def test_a_sensor_that_wants_a_bond_is_no_trouble_of_the_radio(machine: Machine) -> None:
    """An unpaired sensor is counted, and causes no restart of the radio."""
    strap = worn(machine)
    strap.needs_pairing = True

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await collector.until(lambda: attempts(collector, "not_authorised") >= 2)

    assert_left_alone(collector)
