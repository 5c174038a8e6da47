"""
A network that fails: a TCP relay on loopback that can hold, delay, limit, cut and refuse.

The relay does not interpret the data. It runs on its own thread, so that tests and scenarios of
any kind can control it.
"""

import asyncio
import collections
import contextlib
import enum
import random
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final

import msgspec

_CHUNK_BYTES: Final = 65_536
_MAX_ON_THE_WAY: Final = 64
"""Reads of one direction that may be on their way; a network holds a bounded number."""


class Direction(enum.StrEnum):
    """The direction in which bytes go."""

    UP = "up"
    """From the client to the server."""
    DOWN = "down"


class Conditions(msgspec.Struct, frozen=True):
    """
    How well each connection is carried, in both directions.

    Args:
        latency_s: The delay of every read.

        jitter_s: The most that is added to the delay, drawn for each read; no read overtakes
            another.

        stall: Share of the reads that wait for *stall_s*, with all reads behind them, as after
            a lost segment of TCP.

        stall_s: How long such a read waits.

        bytes_per_s: The bandwidth; 0 for no limit.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    stall: float = 0.0
    stall_s: float = 0.0
    bytes_per_s: float = 0.0

    def delay_s(self, draw: random.Random) -> float:
        """Return how long one read is on its way, without the effect of bandwidth."""
        delay = self.latency_s
        if self.jitter_s:
            delay += draw.uniform(0, self.jitter_s)
        if self.stall and draw.random() < self.stall:
            delay += self.stall_s
        return delay


PERFECT: Final = Conditions()


class Relay:
    """
    Relays connections on `port` to a server on loopback.

    Use it as a context manager. A direction that is held keeps its bytes until it is released, as
    in a stalled network; neither end is notified.

    Args:
        upstream_port: The port of the server.

        seed: The seed of all random choices.
    """

    def __init__(self, upstream_port: int, *, seed: int = 1) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.conditions = PERFECT
        self._draw = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._open: dict[Direction, asyncio.Event] = {}
        self._accepts = True
        self._pairs: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._vanished: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> "Relay":
        self._thread.start()
        self._wait(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._wait(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """The number of connections that are carried."""
        return len(self._pairs)

    def hold(self, direction: Direction) -> None:
        """Pass no more bytes in *direction*."""
        self._wait(self._set(direction, is_open=False))

    def release(self) -> None:
        """Pass everything again, and accept connections."""
        self._accepts = True
        for direction in Direction:
            self._wait(self._set(direction, is_open=True))

    def refuse(self) -> None:
        """Accept no new connections: each is closed at once."""
        self._accepts = False

    def cut(self, share: float = 1.0) -> None:
        """Reset every connection, or a share of them."""
        self._wait(self._cut(share))

    def vanish(self, share: float = 1.0) -> None:
        """
        Make the present connections, or a share of them, half open.

        Data sent on them are lost and neither end is notified, as behind a router that has lost
        its state. New connections are carried.
        """
        self._wait(self._vanish(share))

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> None:
        self._open = {direction: asyncio.Event() for direction in Direction}
        for event in self._open.values():
            event.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._accepts = False
        if self._server is not None:
            self._server.close()
        for event in self._open.values():
            event.set()
        self.conditions = PERFECT
        await self._cut(1.0)
        # The tasks end by themselves now. asyncio would log it if the tasks were cancelled.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _set(self, direction: Direction, *, is_open: bool) -> None:
        if is_open:
            self._open[direction].set()
        else:
            self._open[direction].clear()

    def _some(self, share: float) -> list[asyncio.StreamWriter]:
        everyone = list(self._pairs)
        return everyone if share >= 1 else [w for w in everyone if self._draw.random() < share]

    async def _cut(self, share: float) -> None:
        for writer in self._some(share):
            for one in (writer, self._pairs[writer]):
                one.transport.abort()

    async def _vanish(self, share: float) -> None:
        for writer in self._some(share):
            self._vanished.update((writer, self._pairs[writer]))

    def _is_refusing(self) -> bool:
        return not self._accepts

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_refusing():
            writer.transport.abort()
            return
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.transport.abort()
            return
        if self._is_refusing():
            # Connections were refused, or the relay stopped, while this one was being made.
            downstream.transport.abort()
            writer.transport.abort()
            return
        self._pairs[writer] = downstream
        try:
            ways = [
                asyncio.create_task(self._carry(Direction.UP, reader, downstream)),
                asyncio.create_task(self._carry(Direction.DOWN, upstream, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            del self._pairs[writer]
            self._vanished -= {writer, downstream}
            for one in (writer, downstream):
                one.transport.abort()

    async def _carry(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one direction: one task reads, another one writes when the time has come."""
        way = _Way()
        delivering = asyncio.create_task(self._deliver(direction, way, writer))
        try:
            while data := await reader.read(_CHUNK_BYTES):
                now = self._loop.time()
                conditions = self.conditions
                at = max(now + conditions.delay_s(self._draw), way.last_at)
                if conditions.bytes_per_s:
                    at += len(data) / conditions.bytes_per_s
                way.put(at, data)
                # While nothing is read, TCP slows the sender down.
                await way.has_room.wait()
            way.put(way.last_at, b"")
            await delivering
        except OSError:
            return
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver(
        self, direction: Direction, way: "_Way", writer: asyncio.StreamWriter
    ) -> None:
        # A lost connection is noticed where it is read; an error here would not be awaited.
        with contextlib.suppress(OSError):
            while True:
                at, data = await way.take()
                wait_s = at - self._loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                await self._open[direction].wait()
                if not data:
                    return
                if writer not in self._vanished:
                    writer.write(data)
                    await writer.drain()


class _Way:
    """The data on their way in one direction, in order."""

    def __init__(self) -> None:
        self.last_at = 0.0
        self.has_room = asyncio.Event()
        self.has_room.set()
        self._has_some = asyncio.Event()
        self._some: collections.deque[tuple[float, bytes]] = collections.deque()

    def put(self, at: float, data: bytes) -> None:
        """Add *data*, to be delivered at *at*."""
        self.last_at = at
        self._some.append((at, data))
        self._has_some.set()
        if len(self._some) >= _MAX_ON_THE_WAY:
            self.has_room.clear()

    async def take(self) -> tuple[float, bytes]:
        """Return the next data and their time."""
        await self._has_some.wait()
        found = self._some.popleft()
        if not self._some:
            self._has_some.clear()
        self.has_room.set()
        return found
