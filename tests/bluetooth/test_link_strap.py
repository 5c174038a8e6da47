"""A virtual strap over the air: the first tier of Bluetooth tests."""

from edge_agent.gatt.registry import uuid_of
from simulators.sensor.kinds.heart_rate_strap import MEASUREMENT
from tests.bluetooth.central import collect, connected
from tests.bluetooth.straps import strap
from tests.fixtures.link import AirLink


async def test_notifications_arrive_complete_and_in_order(link: AirLink) -> None:
    """The client's callback gets every value of a strap, in order."""
    sensor = await link.add(strap(period_s=0.001))

    async with connected(link, sensor.address) as client:
        values = await (await collect(client, MEASUREMENT)).wait_for(500)

    assert values == list(sensor.sent)[: len(values)]


async def test_an_open_sensor_asks_nobody_to_pair(link: AirLink) -> None:
    """Any central can read a sensor without security."""
    sensor = await link.add(strap())
    link.adapter.has_agent = False

    async with connected(link, sensor.address) as client:
        assert await client.read_gatt_char(uuid_of(0x2A38)) == b"\x01"
        assert await client.read_gatt_char(uuid_of(0x2A19)) == b"\x57"
