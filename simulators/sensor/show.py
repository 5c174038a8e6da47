"""A run of virtual sensors: on a virtual controller of another host, or on a real dongle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec

from runtime.stop import stop_requested
from simulators.sensor.air import Air, open_port
from simulators.sensor.link import Books
from simulators.sensor.wardrobe import Worn


class SensorReport(msgspec.Struct, frozen=True):
    """What one sensor was and did."""

    person: str
    origin: str
    kind: str
    address: str
    books: Books


@contextlib.asynccontextmanager
async def on_controller(worn: Sequence[Worn], port: str) -> AsyncIterator[None]:
    """Let a host, behind *port*, have a Bluetooth controller that hears all of *worn*."""
    air = Air()
    async with open_port(port) as (source, sink):
        air.attach(source, sink)
        async with contextlib.AsyncExitStack() as on:
            for one in worn:
                on.push_async_callback(one.sensor.switch_off)
                await one.sensor.switch_on(air)
            yield


@contextlib.asynccontextmanager
async def on_dongle(worn: Worn, port: str) -> AsyncIterator[None]:
    """Let *worn* be on the real air, by the dongle behind *port*, which serves one sensor."""
    async with open_port(port) as (source, sink), contextlib.AsyncExitStack() as on:
        on.push_async_callback(worn.sensor.switch_off)
        await worn.sensor.switch_on_at(source, sink)
        yield


async def until_stopped(duration_s: float | None) -> None:
    """Return after *duration_s*, or when a signal asks for the end."""
    async with stop_requested() as stop:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await stop.wait()


def report(worn: Sequence[Worn]) -> list[SensorReport]:
    """Return what each of *worn* was and did."""
    return [
        SensorReport(one.person, one.origin, one.kind, one.sensor.address, one.sensor.books)
        for one in worn
    ]
