"""The radio with virtual sensors on the air: straps, floods, drops, and a faulty host."""

import asyncio
import time

import pytest

from edge_agent.gatt import heart_rate
from simulators.sensor.device.peripheral import Security
from tests.bluetooth.air import METER, PERIOD_S, STRAP, flow, meter_with, radio, rates
from tests.bluetooth.straps import strap
from tests.fakes.bluetooth import ToldHost, collecting
from tests.fixtures.link import AirLink
from tests.support.readings import value_of
from wire.quantities import Code
from wire.refusals import Refusal

pytestmark = pytest.mark.timed


async def test_four_straps_do_not_mix(link: AirLink) -> None:
    """
    Each value of each of four straps is handed over once, in order, under the strap's
    address.
    """
    addresses = [f"C0:FF:EE:00:00:{n:02X}" for n in range(1, 5)]
    straps = [await link.add(strap(address=a, period_s=PERIOD_S)) for a in addresses]

    async with collecting(radio(link), ToldHost(), dict.fromkeys(addresses, 0)) as collector:
        await collector.until(
            lambda: all(len(collector.of(Code.HEART_RATE, sensor=a)) >= 25 for a in addresses)
        )
        # The sensors' lists and the taken values are compared up to what has been taken by now.
        taken = [[value_of(m) for m in collector.of(1, sensor=a)] for a in addresses]

    for values, one in zip(taken, straps, strict=True):
        sent = [heart_rate.decode(value).heart_rate_bpm for value in one.sent]
        assert values == sent[: len(values)]
        assert one.books.connections == 1


async def test_a_flood_is_bounded_and_left(link: AirLink) -> None:
    """
    A strap at 1 kHz is limited, counted and finally disconnected, and other sensors
    continue.
    """
    await link.add(strap("flood=1000@1-", address="C0:FF:EE:00:00:99"))
    await link.add(strap(period_s=PERIOD_S))

    cursors = {STRAP: 0, "C0:FF:EE:00:00:99": 0}
    async with collecting(radio(link), ToldHost(), cursors) as collector:
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="flooding") >= 1, within_s=20
        )
        await flow(collector)

    assert collector.refused[Refusal.FLOOD] >= 2000
    assert len(collector.of(Code.HEART_RATE, sensor="C0:FF:EE:00:00:99")) < 600


async def test_an_address_may_be_written_in_either_case(link: AirLink) -> None:
    """A sensor is found under any spelling of its address, and named as the lease spells it."""
    await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP.lower(): 0}) as collector:
        await flow(collector)

    assert {m.sensor for m in collector.taken} == {STRAP.lower()}
    assert collector.value("advertisements_total", sender="bound") >= 1


async def test_oversized_values_are_counted(link: AirLink) -> None:
    """
    An oversized value is refused or cut to its valid part, and other values are not
    affected.
    """
    await link.add(strap("oversized@1-5", period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector, 20)

    oversized = {"characteristic": "battery_level", "reason": "trailing_bytes"}
    assert collector.value("decode_errors_total", **oversized) == 1
    assert collector.refused == {Refusal.MALFORMED: 1}


async def test_a_name_with_control_characters_harms_nothing(link: AirLink) -> None:
    """
    A device name with control characters has no effect, because the agent does not use
    names.
    """
    hostile = strap(period_s=PERIOD_S)
    hostile.name = "\x1b[2J\x00\r\nHR"
    await link.add(hostile)

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)


async def test_values_do_not_multiply_over_drops(link: AirLink) -> None:
    """After each drop every value comes once, and no registration remains."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        for _ in range(4):
            await flow(collector)
            await one.drop()
        await flow(collector)

    assert len(rates(collector)) <= len(one.sent)
    assert +link.adapter.registrations == {}


async def test_a_sensor_that_comes_back_is_heard_again(link: AirLink) -> None:
    """A sensor that was out of reach and returns is heard again by itself."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        await one.hide()
        await collector.during(1.0)
        await one.appear()
        took_s = await flow(collector)

    assert took_s < 3


async def test_a_hang_is_survived(link: AirLink) -> None:
    """While no call returns, each call is abandoned; when calls work again, data flow again."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        link.adapter.hang()
        await one.drop()
        await collector.during(1.0)
        link.adapter.recover()
        await flow(collector, within_s=30)


async def test_the_death_of_the_host_ends_every_link(link: AirLink) -> None:
    """When bluetoothd is gone, every link ends at once, without waiting for a disconnect."""
    one = await link.add(strap(period_s=PERIOD_S))
    host = ToldHost()

    async with collecting(radio(link), host, {STRAP: 0}) as collector:
        await flow(collector)
        host.tell(False)
        link.adapter.hang()
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="lost") >= 1, within_s=2
        )
        # The kernel drops the connections of a dead bluetoothd.
        await one.drop()
        link.adapter.recover()
        host.tell(True)
        took_s = await flow(collector)

    assert took_s < 8


async def test_failures_climb_the_ladder(link: AirLink) -> None:
    """After repeated errors the radio is switched off and on, and then its daemon is restarted."""
    await link.add(strap(period_s=PERIOD_S))
    link.adapter.error = "org.bluez.Error.InProgress"
    host = ToldHost()

    async with collecting(radio(link), host, {STRAP: 0}) as collector:
        await collector.until(lambda: host.done["restart"] >= 1)
        link.adapter.recover()
        await flow(collector)

    assert host.done["power_cycle"] >= 1


async def test_the_adapter_is_left_alone_while_others_deliver(link: AirLink) -> None:
    """The adapter is not reset for a failing sensor while other sensors deliver."""
    await link.add(strap(period_s=PERIOD_S))
    lost = await link.add(meter_with(100, "drop@1-"))
    host = ToldHost()

    async with collecting(radio(link), host, {STRAP: 0, METER: 0}) as collector:
        await collector.until(lambda: lost.books.drops >= 5, within_s=20)

    assert host.done["power_cycle"] == 0
    assert collector.value("sensor_connections_total") > 5


async def test_a_sensor_that_wants_a_bond_is_counted(link: AirLink) -> None:
    """A value that needs a bond is not read before pairing, and is read afterwards."""
    meter = await link.add(meter_with(3, security=Security(passkey=123456)))
    link.adapter.passkey = 111111

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.during(1.0)
        assert not collector.taken_of_records()
        link.adapter.passkey = 123456
        await collector.until(lambda: len(collector.taken_of_records()) >= 3, within_s=20)

    assert meter.books.connections >= 1


async def test_nothing_comes_while_a_goodbye_hangs(link: AirLink) -> None:
    """A sensor that left the lease is not heard any more, even if its disconnection hangs."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        link.adapter.hang()
        leaving = asyncio.create_task(collector.sensors.listen({}))
        await asyncio.sleep(0)
        while await collector.sensors.take(within_s=0):
            pass
        sent = len(one.sent)
        assert not await collector.sensors.take(within_s=0.5)
        assert len(one.sent) > sent + 5
        await leaving
        link.adapter.recover()


async def test_listening_to_nothing_is_silent_at_once(link: AirLink) -> None:
    """When `listen` returns, the link is down, and only earlier values are handed over."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        began = time.monotonic()
        await collector.sensors.listen({})
        took_s = time.monotonic() - began
        while await collector.sensors.take(within_s=0):
            pass
        assert not await collector.sensors.take(within_s=0.2)

    assert took_s < 2.0
    assert not one.links
