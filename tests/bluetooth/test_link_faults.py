"""Faults of the air and of the adapter, with any sensor."""

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakDBusError, BleakError

from edge_agent.gatt import heart_rate, pulse_oximeter
from edge_agent.gatt.pulse_oximeter import ContinuousOximetry, Oximetry, SpotCheck
from edge_agent.gatt.registry import uuid_of
from simulators.sensor.kinds.heart_rate_strap import MEASUREMENT, HeartRateStrap
from simulators.sensor.kinds.oximeter import CONTINUOUS, SPOT_CHECK, PulseOximeter
from tests.bluetooth.central import collect, connected, find
from tests.bluetooth.straps import counting, rates, strap
from tests.fixtures.link import AirLink

ADDRESS = "C0:FF:EE:00:00:01"


async def test_four_straps_at_once(link: AirLink) -> None:
    """The values of four straps at once are not mixed."""
    addresses = [f"C0:FF:EE:00:00:{n:02X}" for n in range(1, 5)]
    straps = [await link.add(strap(address=address)) for address in addresses]

    async def read(address: str) -> list[bytes]:
        async with connected(link, address) as client:
            return list(await (await collect(client, MEASUREMENT)).wait_for(50))

    got = await asyncio.gather(*map(read, addresses))

    for values, one in zip(got, straps, strict=True):
        assert values == list(one.sent)[: len(values)]


async def test_a_flood_arrives_whole(link: AirLink) -> None:
    """Values at 1 kHz are neither lost nor reordered on the virtual air."""
    hostile = await link.add(strap("flood@1-", period_s=1.0))

    async with connected(link, ADDRESS) as client:
        began = asyncio.get_running_loop().time()
        values = await (await collect(client, MEASUREMENT)).wait_for(1000)
        took_s = asyncio.get_running_loop().time() - began

    assert values == list(hostile.sent)[: len(values)]
    assert 0.9 < took_s < 10


async def test_silence_is_not_the_end_of_the_link(link: AirLink) -> None:
    """A silent sensor stays connected."""
    quiet = await link.add(strap("silence@3-50"))

    async with connected(link, ADDRESS) as client:
        values = await (await collect(client, MEASUREMENT)).wait_for(4)

    assert rates(values[:4]) == [60, 61, 110, 111]
    assert quiet.books.connections == 1


async def test_repeated_values_come_as_often_as_they_are_sent(link: AirLink) -> None:
    """A sensor may send each value three times."""
    await link.add(strap("repeat=3"))

    async with connected(link, ADDRESS) as client:
        values = await (await collect(client, MEASUREMENT)).wait_for(6)

    assert rates(values[:6]) == [60, 60, 60, 61, 61, 61]


async def test_oversized_values_fill_the_link(link: AirLink) -> None:
    """An oversized notification has the length of the MTU, and an attribute has 512 bytes."""
    await link.add(strap("oversized"))

    async with connected(link, ADDRESS) as client:
        attribute = await client.read_gatt_char(uuid_of(0x2A38))
        values = await (await collect(client, MEASUREMENT)).wait_for(1)

    assert len(attribute) == 512
    assert len(values[0]) == 244


async def test_a_name_may_hold_anything(link: AirLink) -> None:
    """Control characters in a name are advertised unchanged."""
    name = "\x1b[31mEvil\n\x00\x7f"
    await link.add(HeartRateStrap(ADDRESS, counting(), name=name))

    assert (await find(link, ADDRESS)).name == name


async def test_each_registration_that_was_not_given_back_doubles(link: AirLink) -> None:
    """As on BlueZ, a client that was dropped and not disconnected makes values arrive twice."""
    sensor = await link.add(strap())
    device = await find(link, ADDRESS)
    left_behind = BleakClient(device, backend=link.client_type)
    await left_behind.connect()
    await collect(left_behind, MEASUREMENT)
    await sensor.drop()

    async with connected(link, ADDRESS) as client:
        twice = await (await collect(client, MEASUREMENT)).wait_for(4)
    await left_behind.disconnect()
    async with connected(link, ADDRESS) as client:
        once = await (await collect(client, MEASUREMENT)).wait_for(4)

    assert twice[0] == twice[1]
    assert len(set(once)) == len(once)


async def test_a_sensor_out_of_reach_is_not_heard(link: AirLink) -> None:
    """A sensor out of reach drops its link, is not found, and returns."""
    sensor = await link.add(strap())
    dropped = asyncio.Event()

    async with connected(link, ADDRESS, lambda _: dropped.set()):
        await sensor.hide()
        await dropped.wait()
    is_heard = await heard_within(link, 0.2)
    await sensor.appear()

    assert not is_heard
    assert (await find(link, ADDRESS)).address == ADDRESS


async def test_hiding_right_after_a_disconnection_hides(link: AirLink) -> None:
    """A sensor that is hidden right after a disconnection does not advertise again."""
    sensor = await link.add(strap())

    for _ in range(5):
        async with connected(link, ADDRESS):
            pass
        await sensor.hide()
        assert not await heard_within(link, 0.1)
        await sensor.appear()


async def heard_within(link: AirLink, seconds: float) -> bool:
    """Tell whether the strap is heard."""
    found = await BleakScanner.find_device_by_address(
        ADDRESS, timeout=seconds, backend=link.scanner_type
    )
    return found is not None


async def test_connecting_to_nobody_times_out(link: AirLink) -> None:
    """
    Connecting to an unknown address ends in the client's time-out, and the next
    connection works.
    """
    await link.add(strap())
    with pytest.raises(BleakError):
        await BleakClient("C0:FF:EE:00:00:77", timeout=0.2, backend=link.client_type).connect()

    async with connected(link, ADDRESS) as client:
        assert client.is_connected


async def test_a_sensor_that_is_switched_off_drops_its_link(link: AirLink) -> None:
    """A sensor that is switched off drops its link."""
    sensor = await link.add(strap())
    dropped = asyncio.Event()

    async with connected(link, ADDRESS, lambda _: dropped.set()) as client:
        await sensor.switch_off()
        await dropped.wait()
        with pytest.raises(BleakError):
            await client.read_gatt_char(uuid_of(0x2A38))


async def test_a_hung_adapter_returns_from_no_call(link: AirLink) -> None:
    """
    As after kill -9 of bluetoothd, no call returns, and the client still reports a
    connection.
    """
    await link.add(strap())

    async with connected(link, ADDRESS) as client:
        link.adapter.hang()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.read_gatt_char(uuid_of(0x2A38))
        assert client.is_connected
        link.adapter.recover()
        assert await client.read_gatt_char(uuid_of(0x2A38)) == b"\x01"


async def test_an_adapter_in_trouble_says_so(link: AirLink) -> None:
    """While an error is set, scanning, connecting and reading fail with it."""
    await link.add(strap())
    link.adapter.error = "org.bluez.Error.InProgress"

    with pytest.raises(BleakDBusError):
        await BleakScanner(backend=link.scanner_type).start()
    with pytest.raises(BleakDBusError):
        await BleakClient(ADDRESS, backend=link.client_type).connect()


async def test_what_a_drop_interrupts_fails(link: AirLink) -> None:
    """A call that waits for an answer fails when the link breaks."""
    sensor = await link.add(strap())

    async with connected(link, ADDRESS) as client:
        reading = asyncio.ensure_future(client.read_gatt_char(uuid_of(0x2A38)))
        await asyncio.sleep(0)
        await sensor.drop()
        with pytest.raises(BleakError):
            await client.read_gatt_char(uuid_of(0x2A38))
        await asyncio.wait([reading])


async def test_the_energy_counter_is_reset_by_one_value_alone(link: AirLink) -> None:
    """
    A strap refuses every value but one for its energy counter, with the error code of
    the service.
    """
    sensor = await link.add(strap())

    async with connected(link, ADDRESS) as client:
        await client.write_gatt_char(uuid_of(0x2A39), b"\x01", response=True)
        with pytest.raises(BleakError):
            await client.write_gatt_char(uuid_of(0x2A39), b"\x02", response=True)

    assert sensor.energy_resets == 1


async def test_an_oximeter_streams_and_checks(link: AirLink) -> None:
    """An oximeter notifies continuous values and indicates a spot check."""
    shown = [ContinuousOximetry(normal=Oximetry(97, 60 + n)) for n in range(100)]
    spot = SpotCheck(oximetry=Oximetry(98, 70))
    oximeter = await link.add(PulseOximeter(ADDRESS, iter(shown), period_s=0.001))

    async with connected(link, ADDRESS) as client:
        stream = await collect(client, CONTINUOUS)
        checks = await collect(client, SPOT_CHECK)
        await oximeter.check(spot)
        values = await stream.wait_for(50)

    assert [pulse_oximeter.decode_continuous(v) for v in values[:50]] == shown[:50]
    assert [pulse_oximeter.decode_spot_check(v) for v in checks.values] == [spot]


async def until_dropped(link: AirLink) -> list[bytes]:
    """Return the values that the strap sends before it drops the link."""
    dropped = asyncio.Event()
    async with connected(link, ADDRESS, lambda _: dropped.set()) as client:
        values = await collect(client, MEASUREMENT)
        await dropped.wait()
    return values.values


async def test_a_drop_at_each_value(link: AirLink) -> None:
    """A strap that drops at every third value loses only that value."""
    sensor = await link.add(strap("drop@3-/3"))
    got: list[int] = []

    for _ in range(4):
        got += rates(await until_dropped(link))

    assert got == [60, 61, 63, 64, 66, 67, 69, 70]
    assert sensor.books.drops == 4
    assert heart_rate.decode(sensor.sent[-1]).heart_rate_bpm == 70


async def test_a_deaf_sensor_answers_no_read(link: AirLink) -> None:
    """A read of a deaf sensor hangs until the link ends: GATT has no other end for it."""
    sensor = await link.add(strap("deaf@1"))

    async with connected(link, ADDRESS) as client:
        reading = asyncio.ensure_future(client.read_gatt_char(uuid_of(0x2A38)))
        done, _ = await asyncio.wait([reading], timeout=0.1)
        assert not done
        await sensor.drop()
        with pytest.raises(BleakError):
            await reading


async def test_data_flow_on_when_the_host_takes_another_address(link: AirLink) -> None:
    """Connections survive when Linux scans from a new address."""
    sensor = await link.add(strap())

    async with connected(link, ADDRESS) as client:
        values = await collect(client, MEASUREMENT)
        await values.wait_for(3)
        link.adapter.take_address("E1:00:00:00:00:01")
        await values.wait_for(len(values.values) + 5)
        assert await client.read_gatt_char(uuid_of(0x2A38)) == b"\x01"

    assert sensor.books.connections == 1
