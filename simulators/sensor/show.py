"""A run of virtual sensors: on a virtual controller of another host, or on a real dongle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec

from runtime.process import stop_requested
from simulators.errors import PortError
from simulators.sensor.device.link import SensorCounters
from simulators.sensor.device.virtual_radio import RadioMedium, open_port
from simulators.sensor.sensor_factory import AssignedSensor

Lost = asyncio.Future[None]
"""A future that is done when the port is lost."""


class SensorReport(msgspec.Struct, frozen=True):
    """The result of one sensor."""

    person: str
    origin: str
    kind: str
    address: str
    books: SensorCounters


@contextlib.asynccontextmanager
async def on_controller(worn: Sequence[AssignedSensor], port: str) -> AsyncIterator[Lost]:
    """
    Give the host behind *port* a Bluetooth controller that hears all sensors of *worn*.

    Yields a future that is done when the host is lost.

    Raises:
        PortError: There is no such port, or it cannot be opened.
    """
    air = RadioMedium()
    async with contextlib.AsyncExitStack() as on:
        for one in worn:
            on.push_async_callback(one.sensor.switch_off)
            await one.sensor.switch_on(air)
        # The host is attached last, because a kernel only waits two seconds for an answer of the
        # controller.
        source, sink = await on.enter_async_context(open_port(port))
        air.attach(source, sink)
        yield source.terminated


@contextlib.asynccontextmanager
async def on_dongle(worn: AssignedSensor, port: str) -> AsyncIterator[Lost]:
    """
    Advertise *worn* through the real dongle behind *port*, which serves one sensor.

    Yields a future that is done when the dongle is lost.

    Raises:
        PortError: There is no such port, or it cannot be opened.
    """
    async with open_port(port) as (source, sink), contextlib.AsyncExitStack() as on:
        on.push_async_callback(worn.sensor.switch_off)
        await worn.sensor.switch_on_at(source, sink)
        yield source.terminated


async def until_stopped(lost: Lost, duration_s: float | None) -> None:
    """
    Return after *duration_s*, or at a signal to stop.

    Raises:
        PortError: The port was *lost* before that.
    """
    async with stop_requested() as stop:
        stopping = asyncio.create_task(_set(stop), name="stop")
        ends: list[asyncio.Future[None]] = [stopping, lost]
        await asyncio.wait(ends, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    if lost.done() and not stop.is_set():
        raise PortError("lost")


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def report(worn: Sequence[AssignedSensor]) -> list[SensorReport]:
    """Return the result of each sensor."""
    return [
        SensorReport(one.person, one.origin, one.kind, one.sensor.address, one.sensor.books)
        for one in worn
    ]
