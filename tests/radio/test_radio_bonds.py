"""Bonds with a sensor that protects its values, made by a real BlueZ."""

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
"""The endings after which a person must act."""


def secret_meter() -> GlucoseMeter:
    """Return a meter that shows a passkey for pairing."""
    return meter_with(RECORDS, security=Security(PASSKEY))


def typing(passkey: int) -> AskPasskey:
    """Return a function that types *passkey*, as a person would."""

    async def ask() -> int:
        return passkey

    return ask


async def assert_read() -> None:
    """Check that all records of the meter come, without a person at the keyboard."""
    async with collecting(Radio(), BluezHost(), {METER: 0}, patience=RadioTimeouts()) as collector:
        await collector.until(lambda: stored(collector) >= RECORDS, within_s=WINDOW_S)
    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, RECORDS + 1)]
    assert collector.value("sensor_attempts_total", ending="not_authorised") == 0


async def assert_refused(ending: str, *, times: int = 1) -> None:
    """Check that no record comes, and that the reason is counted."""
    async with collecting(Radio(), BluezHost(), {METER: 0}, patience=RadioTimeouts()) as collector:
        await collector.until(lambda: ended(collector, ending) >= times, within_s=PATIENCE_S)
    assert stored(collector) == 0
    named = {one for one in ENDINGS if ended(collector, one)}
    assert named == ENDINGS & {ending}
    # This is the fault of the sensor, so the radio is not reset.
    assert collector.value("recoveries_total", action="power_cycle") == 0


def ended(collector: Collector, ending: str) -> float:
    """Return how many attempts ended with *ending*."""
    return collector.value("sensor_attempts_total", ending=ending)


def stored(collector: Collector) -> int:
    """Return how many records came."""
    return len(collector.taken_of_records())


async def test_a_meter_is_read_once_its_passkey_was_typed(
    machine: RadioMachine, figures: Figures
) -> None:
    """
    After the passkey was typed once, the meter is read again after a drop and after a restart of
    bluetoothd.
    """
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
    """A wrong passkey gives an error and no bond; the right one still works afterwards."""
    async with machine.hearing(secret_meter()):
        await machine.ready()
        with pytest.raises(NotAuthorised):
            await pair(METER, Radio(), typing(PASSKEY + 1), window_s=WINDOW_S)
        await assert_refused("not_authorised")
        await pair(METER, Radio(), typing(PASSKEY), window_s=WINDOW_S)
        await assert_read()


async def test_a_meter_that_forgot_its_bond_is_paired_anew(machine: RadioMachine) -> None:
    """A meter that lost its bond is refused and counted as such, until it is paired again."""
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
    """
    BlueZ ends a read that is not answered, and not one that waits for a bond: that distinguishes
    them.
    """
    async with machine.hearing(meter_with(RECORDS, "deaf@1-")):
        await machine.ready()
        await assert_refused("timed_out", times=2)


async def test_a_meter_without_a_display_is_paired_with_nobody_to_type(
    machine: RadioMachine,
) -> None:
    """A meter without a display pairs without a passkey and without a keyboard."""
    async with machine.hearing(meter_with(RECORDS, security=Security())):
        await machine.ready()
        await pair(METER, Radio(), None, window_s=WINDOW_S)
        await assert_read()
