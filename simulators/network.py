"""
A network that fails: a TCP relay on loopback that can hold, delay, cut and refuse.

Knows nothing of what it carries. Runs on a thread of its own, so that tests and scenarios of any
kind can drive it.
"""

import asyncio
import enum
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final

_CHUNK_BYTES: Final = 65_536


class Direction(enum.StrEnum):
    """Which way bytes go."""

    UP = "up"
    """From whoever connected, to the server."""
    DOWN = "down"


class Relay:
    """
    Relays connections on `port` to a server on loopback.

    Use as a context manager. A direction that is held keeps its bytes until it is released, as a
    stalled network does; nobody is told.

    Args:
        upstream_port: The server.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.latency_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._open: dict[Direction, asyncio.Event] = {}
        self._accepts = True
        self._writers: set[asyncio.StreamWriter] = set()
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

    def hold(self, direction: Direction) -> None:
        """Let no more bytes through in *direction*."""
        self._wait(self._set(direction, is_open=False))

    def release(self) -> None:
        """Let everything through again, and accept connections."""
        self._accepts = True
        for direction in Direction:
            self._wait(self._set(direction, is_open=True))

    def refuse(self) -> None:
        """Accept no new connection: each is closed at once."""
        self._accepts = False

    def cut(self) -> None:
        """Reset every connection."""
        self._wait(self._cut())

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> None:
        self._open = {direction: asyncio.Event() for direction in Direction}
        for event in self._open.values():
            event.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for event in self._open.values():
            event.set()
        await self._cut()
        # They end by themselves now; to cancel what asyncio started for a connection, it logs.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _set(self, direction: Direction, *, is_open: bool) -> None:
        if is_open:
            self._open[direction].set()
        else:
            self._open[direction].clear()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._accepts:
            writer.transport.abort()
            return
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, downstream)
        self._writers.update(pair)
        try:
            ways = [
                asyncio.create_task(self._pump(Direction.UP, reader, downstream)),
                asyncio.create_task(self._pump(Direction.DOWN, upstream, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers.difference_update(pair)
            for one in pair:
                one.transport.abort()

    async def _pump(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await self._open[direction].wait()
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            return
