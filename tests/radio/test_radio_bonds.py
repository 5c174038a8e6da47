"""A bond with a sensor that keeps what it measures to itself."""

import pytest

from edge_agent.bluetooth.bluez import BluezHost
from edge_agent.bluetooth.client import Radio
from edge_agent.bluetooth.pairing import AskPasskey, pair
from edge_agent.bluetooth.sensors import Patience
from simulators.sensor.meter import GlucoseMeter
from simulators.sensor.peripheral import Security
from tests.bluetooth.air import METER, meter_with
from tests.fakes_bluetooth import collecting
from tests.radio.conftest import Figures
from tests.radio.machine import RadioMachine
from wire.quantities import Code

pytestmark = [pytest.mark.radio, pytest.mark.timeout(600)]

PASSKEY = 123456
RECORDS = 5


def secret_meter() -> GlucoseMeter:
    """Return a meter that shows a passkey to whoever pairs."""
    return meter_with(RECORDS, security=Security(PASSKEY))


def typing(passkey: int) -> AskPasskey:
    """Return a person who types *passkey*."""

    async def ask() -> int:
        return passkey

    return ask


async def records(*, within_s: float) -> int:
    """Listen to the meter; return how many records came."""
    async with collecting(Radio(), BluezHost(), {METER: 0}, patience=Patience()) as collector:
        try:
            await collector.until(
                lambda: len(collector.of(Code.GLUCOSE_CAPILLARY)) >= RECORDS, within_s=within_s
            )
        except TimeoutError:
            assert collector.value("sensor_attempts_total", ending="not_authorised") >= 1
        return len(collector.of(Code.GLUCOSE_CAPILLARY))


async def test_a_meter_is_read_once_its_passkey_was_typed(
    machine: RadioMachine, figures: Figures
) -> None:
    """Whoever typed it once is let in again, without being asked."""
    async with machine.hearing(secret_meter()):
        await machine.ready()
        await pair(METER, Radio(), typing(PASSKEY), window_s=120)
        figures.lap("paired after")
        assert await records(within_s=120) == RECORDS
        figures.lap(f"{RECORDS} records after")
