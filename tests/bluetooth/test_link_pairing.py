"""Sensors that show their values only to a paired central."""

import pytest
from bleak import BleakClient
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError

from edge_agent.gatt.registry import uuid_of
from simulators.sensor.device.peripheral import Security
from simulators.sensor.kinds.glucose_meter import MEASUREMENT
from tests.bluetooth.central import RecordReader, connected
from tests.bluetooth.meters import ADDRESS, ALL, DONE, meter_with
from tests.fixtures.link import AirLink


async def test_a_secret_meter_pairs_with_the_passkey_of_its_display(link: AirLink) -> None:
    """An encrypted read starts the pairing where an agent types the passkey."""
    link.adapter.passkey = 123456
    await link.add(meter_with(5, security=Security(passkey=123456)))

    async with connected(link, ADDRESS) as client:
        assert await client.read_gatt_char(uuid_of(0x2A51))
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        assert await reader.ask(ALL) == DONE
    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        assert await reader.ask(ALL) == DONE


@pytest.mark.parametrize("passkey", [111111, None])
async def test_a_wrong_passkey_does_not_pair(link: AirLink, passkey: int | None) -> None:
    """Neither a wrong passkey nor none gives access to protected values."""
    link.adapter.passkey = passkey
    await link.add(meter_with(5, security=Security(passkey=123456)))

    async with connected(link, ADDRESS) as client:
        with pytest.raises(BleakError):
            await client.read_gatt_char(uuid_of(0x2A51))


async def test_nothing_pairs_without_an_agent(link: AirLink) -> None:
    """Without a pairing agent BlueZ pairs with no sensor, not even without a passkey."""
    link.adapter.has_agent = False
    await link.add(meter_with(5, security=Security()))

    async with connected(link, ADDRESS) as client:
        with pytest.raises(BleakDBusError):
            await client.pair()
        link.adapter.has_agent = True
        await client.pair()
        assert await client.read_gatt_char(uuid_of(0x2A51))


async def test_a_lost_bond_is_told_and_made_again(link: AirLink) -> None:
    """
    A sensor without the bond refuses the central's key; after removing the bond, both
    pair again.
    """
    meter = await link.add(meter_with(5, security=Security()))
    async with connected(link, ADDRESS) as client:
        await client.read_gatt_char(uuid_of(0x2A51))
    await meter.forget_bonds()

    with pytest.raises(BleakError):
        async with connected(link, ADDRESS):
            pass
    await BleakClient(ADDRESS, backend=link.client_type).unpair()
    async with connected(link, ADDRESS) as client:
        link.adapter.has_agent = False
        with pytest.raises(BleakGATTProtocolError):
            await client.read_gatt_char(uuid_of(0x2A51))
        link.adapter.has_agent = True
        assert await client.read_gatt_char(uuid_of(0x2A51))


async def test_a_sensor_remembers_a_bond_and_asks_for_it(link: AirLink) -> None:
    """A sensor shows nothing to a bonded central that does not encrypt the link."""
    await link.add(meter_with(5, security=Security()))
    async with connected(link, ADDRESS) as client:
        await client.read_gatt_char(uuid_of(0x2A51))
    await BleakClient(ADDRESS, backend=link.client_type).unpair()
    link.adapter.has_agent = False

    async with connected(link, ADDRESS) as client:
        with pytest.raises(BleakGATTProtocolError) as raised:
            await client.read_gatt_char(uuid_of(0x2A51))

    assert raised.value.code == 0x05
