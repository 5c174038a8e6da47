"""Bonds with a sensor that keeps what it measures to itself, made by a real BlueZ."""

import pytest

from edge_agent.bluetooth.errors import NotAuthorised
from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.pairing import AskPasskey, pair
from edge_agent.bluetooth.sensors import RadioTimeouts
from simulators.sensor.device.peripheral import Security
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from tests.bluetooth.air import METER, meter_with, places
from tests.fakes.bluetooth import Collector, collecting
from tests.radio.conftest import Figures
from tests.radio.machine import RadioMachine

pytestmark = [pytest.mark.radio, pytest.mark.timeout(600)]

PASSKEY = 123456
RECORDS = 5
WINDOW_S = 120.0
PATIENCE_S = 240.0
ENDINGS = {"not_authorised", "bond_refused"}
"""Which have somebody do something."""


def secret_meter() -> GlucoseMeter:
    """Return a meter that shows a passkey to whoever pairs."""
    return meter_with(RECORDS, security=Security(PASSKEY))


def typing(passkey: int) -> AskPasskey:
    """Return a person who types *passkey*."""

    async def ask() -> int:
        return passkey

    return ask


async def assert_read() -> None:
    """Check that the meter's records come, all of them, with nobody to type anything."""
    async with collecting(Radio(), BluezHost(), {METER: 0}, patience=RadioTimeouts()) as collector:
        await collector.until(lambda: stored(collector) >= RECORDS, within_s=WINDOW_S)
    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, RECORDS + 1)]
    assert collector.value("sensor_attempts_total", ending="not_authorised") == 0


async def assert_refused(ending: str, *, times: int = 1) -> None:
    """Check that none comes, and that it is counted why."""
    async with collecting(Radio(), BluezHost(), {METER: 0}, patience=RadioTimeouts()) as collector:
        await collector.until(lambda: ended(collector, ending) >= times, within_s=PATIENCE_S)
    assert stored(collector) == 0
    named = {one for one in ENDINGS if ended(collector, one)}
    assert named == ENDINGS & {ending}
    # It is the sensor's business: the radio is left alone.
    assert collector.value("recoveries_total", rung="power_cycle") == 0


def ended(collector: Collector, ending: str) -> float:
    """Return how many attempts ended so."""
    return collector.value("sensor_attempts_total", ending=ending)


def stored(collector: Collector) -> int:
    """Return how many records came."""
    return len(collector.taken_of_records())


async def test_a_meter_is_read_once_its_passkey_was_typed(
    machine: RadioMachine, figures: Figures
) -> None:
    """Whoever typed it once is let in again: after a drop, and by a bluetoothd that is new."""
    meter = secret_meter()
    async with machine.hearing(meter):
        await machine.ready()
        await pair(METER, Radio(), typing(PASSKEY), window_s=WINDOW_S)
        figures.lap("paired after")
        await assert_read()
        figures.lap(f"{RECORDS} records after")
        await meter.drop()
        await assert_read()
        machine.bluetoothd.kill()
        machine.bluetoothd.start()
        await machine.ready()
        await assert_read()
        figures.lap("and again of a bluetoothd that was killed, after")


async def test_a_wrong_passkey_makes_no_bond(machine: RadioMachine) -> None:
    """The operator is told no, and nothing is read; the right one is still welcome."""
    async with machine.hearing(secret_meter()):
        await machine.ready()
        with pytest.raises(NotAuthorised):
            await pair(METER, Radio(), typing(PASSKEY + 1), window_s=WINDOW_S)
        await assert_refused("not_authorised")
        await pair(METER, Radio(), typing(PASSKEY), window_s=WINDOW_S)
        await assert_read()


async def test_a_meter_that_forgot_its_bond_is_paired_anew(machine: RadioMachine) -> None:
    """After a change of its battery it lets nobody in, and is named, until enrolled again."""
    meter = secret_meter()
    async with machine.hearing(meter):
        await machine.ready()
        await pair(METER, Radio(), typing(PASSKEY), window_s=WINDOW_S)
        await meter.forget_bonds()
        await meter.drop()
        await assert_refused("bond_refused", times=2)
        await pair(METER, Radio(), typing(PASSKEY), window_s=WINDOW_S, anew=True)
        await assert_read()


async def test_a_deaf_meter_is_not_taken_for_one_that_wants_a_bond(machine: RadioMachine) -> None:
    """BlueZ ends what is not answered, and not what waits for a bond: that tells them apart."""
    async with machine.hearing(meter_with(RECORDS, "deaf@1-")):
        await machine.ready()
        await assert_refused("timed_out", times=2)


async def test_a_meter_without_a_display_is_paired_with_nobody_to_type(
    machine: RadioMachine,
) -> None:
    """It asks for no passkey, and our agent for no keyboard."""
    async with machine.hearing(meter_with(RECORDS, security=Security())):
        await machine.ready()
        await pair(METER, Radio(), None, window_s=WINDOW_S)
        await assert_read()
