"""Sensors with known samples, a clock that the test sets, and an agent that only listens."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from recordings.sample import Sample
from simulators.people.people import VirtualSensor


def counting_samples(step_ms: int) -> Iterator[Sample]:
    """Yield the values 1, 2, 3 and so on, *step_ms* apart, the first at once."""
    for number in itertools.count():
        yield Sample(number * step_ms, "heart_rate", float(number + 1))


def counting_sensor(address: str = "02:00:00:00:00:01", *, step_ms: int = 1000) -> VirtualSensor:
    """Return a sensor whose record n has the value n if no record is removed."""
    return VirtualSensor(
        address, "chest strap", ("heart_rate",), step_ms, partial(counting_samples, step_ms)
    )


class ToldClock:
    """A clock that shows the time that the test sets."""

    def __init__(self, now_ms: float = 0.0) -> None:
        self.value_ms = now_ms

    def now_ms(self) -> float:
        return self.value_ms


class ListeningAgent:
    """An agent's socket: sends what the test says, and keeps the records that arrive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown: list[dict[str, Any]] = []
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        self._arrived = asyncio.Condition()
        self._connected = asyncio.Event()
        self._connections = 0
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on the socket while the context is open."""
        self._connected.clear()
        self._server = await asyncio.start_unix_server(self._talk, self.path)
        try:
            yield
        finally:
            self._server.close()
            if self._writer is not None:
                self._writer.transport.abort()
            await self._server.wait_closed()
            self.path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._connected.set()
        async with self._arrived:
            self._connections += 1
            self._arrived.notify_all()
        with contextlib.suppress(OSError):
            while True:
                await self.is_reading.wait()
                line = await reader.readline()
                if not line:
                    break
                async with self._arrived:
                    self.shown.append(json.loads(line))
                    self._arrived.notify_all()
        writer.close()

    async def say(self, line: bytes) -> None:
        """Send *line* to the connected player; wait for one if there is none."""
        async with asyncio.timeout(10):
            await self._connected.wait()
        assert self._writer is not None
        self._writer.write(line)
        await self._writer.drain()

    async def listen(self, **cursors: int) -> None:
        """Listen to sensors; each name is an x and the address without colons."""
        named = {":".join(_pairs(name[1:])): number for name, number in cursors.items()}
        await self.say(json.dumps({"listen": named}).encode() + b"\n")

    async def hang_up(self) -> None:
        """Break the connection, and accept another."""
        assert self._writer is not None
        self._connected.clear()
        self._writer.transport.abort()

    async def connection(self, number: int) -> None:
        """Wait until a player has connected *number* times."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: self._connections >= number)

    async def wait_for(self, count: int) -> None:
        """Wait until *count* records have arrived."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: len(self.shown) >= count)


def _pairs(text: str) -> list[str]:
    return [text[i : i + 2] for i in range(0, len(text), 2)]
