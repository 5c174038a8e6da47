"""A strap over the air: tier 1 of the tests of Bluetooth."""

import asyncio
import itertools
from collections.abc import Iterator

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from edge_agent.gatt.heart_rate import HeartRateMeasurement
from edge_agent.gatt.registry import uuid_of
from simulators.sensor.strap import HeartRateStrap
from tests.fix_link import AirLink

ADDRESS = "C0:FF:EE:00:00:01"


def counting() -> Iterator[HeartRateMeasurement]:
    """Yield measurements that tell one from the other."""
    for n in itertools.count():
        yield HeartRateMeasurement(60 + n % 100, True, None, (800 + n % 200, n % 0x10000))


async def find(link: AirLink, address: str) -> BLEDevice:
    """Return the sensor with *address*, once it is heard."""
    device = await BleakScanner.find_device_by_address(
        address, timeout=5, backend=link.scanner_type
    )
    assert device is not None
    return device


async def test_notifications_arrive_complete_and_in_order(link: AirLink) -> None:
    """What a strap sends is what the client's callback gets, nothing lost, nothing moved."""
    strap = await link.add(HeartRateStrap(ADDRESS, counting(), period_s=0.001))
    device = await find(link, ADDRESS)
    got: list[bytes] = []
    enough = asyncio.Event()

    def on_value(_: object, value: bytearray) -> None:
        got.append(bytes(value))
        if len(got) >= 500:
            enough.set()

    async with BleakClient(device, backend=link.client_type) as client, asyncio.timeout(10):
        await client.start_notify(uuid_of(0x2A37), on_value)
        await enough.wait()

    assert got == list(strap.sent)[: len(got)]
