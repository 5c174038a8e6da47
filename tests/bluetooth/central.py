"""A small central on bleak: find, connect, collect values, request records."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from edge_agent.gatt import racp
from edge_agent.gatt.registry import uuid_of
from simulators.sensor.device.record_access import CONTROL_POINT
from simulators.sensor.kinds.glucose_meter import CONTEXT, MEASUREMENT
from tests.fixtures.link import AirLink

PATIENCE_S = 20.0


async def find(link: AirLink, address: str) -> BLEDevice:
    """Return the sensor with *address* as soon as it is heard."""
    device = await BleakScanner.find_device_by_address(
        address, timeout=PATIENCE_S, backend=link.scanner_type
    )
    assert device is not None
    return device


@contextlib.asynccontextmanager
async def connected(
    link: AirLink, address: str, on_drop: Callable[[BleakClient], None] | None = None
) -> AsyncIterator[BleakClient]:
    """Find and connect to a sensor; both must succeed within *PATIENCE_S* seconds."""
    async with asyncio.timeout(PATIENCE_S):
        device = await find(link, address)
        async with BleakClient(
            device, disconnected_callback=on_drop, backend=link.client_type
        ) as client:
            yield client


class Collected:
    """The values of a characteristic, in the order of their arrival."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._came = asyncio.Event()

    def take(self, _characteristic: object, value: bytearray) -> None:
        """Keep *value*; a callback of bleak."""
        self.values.append(bytes(value))
        self._came.set()

    async def wait_for(self, count: int) -> list[bytes]:
        """Return all values as soon as there are *count*."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.values) < count:
                self._came.clear()
                await self._came.wait()
        return self.values


async def collect(client: BleakClient, number: int) -> Collected:
    """Subscribe to characteristic *number*."""
    collected = Collected()
    await client.start_notify(uuid_of(number), collected.take)
    return collected


class RecordReader:
    """Requests the records of a sensor."""

    def __init__(self, client: BleakClient, *, told_by: int) -> None:
        self._client = client
        self._told_by = told_by
        self.records = Collected()
        self.contexts = Collected()
        self.answers = Collected()

    async def open(self) -> "RecordReader":
        """Subscribe to the characteristics that carry answers."""
        await self._client.start_notify(uuid_of(self._told_by), self.records.take)
        if self._told_by == MEASUREMENT:
            await self._client.start_notify(uuid_of(CONTEXT), self.contexts.take)
        await self._client.start_notify(uuid_of(CONTROL_POINT), self.answers.take)
        return self

    async def write(self, value: bytes) -> None:
        """Write *value* to the control point."""
        await self._client.write_gatt_char(uuid_of(CONTROL_POINT), value, response=True)

    async def ask(self, request: racp.Request | bytes) -> racp.Count | racp.RacpResponse:
        """Write *request*; return the sensor's answer after the records."""
        before = len(self.answers.values)
        value = request if isinstance(request, bytes) else racp.encode_request(request)
        await self.write(value)
        answers = await self.answers.wait_for(before + 1)
        return racp.decode_response(answers[before])
