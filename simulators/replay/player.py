"""
The player: the sensors of many people, on the sockets of many agents.

Connects to each socket, and again after each loss. One task for each socket writes the records of
the sensors that its agent listens to; one further task takes the measurements that are due. A
sensor continues to measure while its agent is disconnected, and its records are sent afterwards
with their original times. It stops at the first listen message that does not name it.
"""

import asyncio
import contextlib
import heapq
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from simulators.errors import ListenError
from simulators.people.people import VirtualSensor
from simulators.replay.listening import MAX_LINE_BYTES, decode_listen, encode_record
from simulators.replay.timetable import MAX_KEPT, RecordLog, Timetable, speed_of

_RECONNECT_S: Final = 0.2
_ON_THE_WAY_BYTES: Final = 8192
_AT_ONCE: Final = 64
"""Records of one sensor that are written before the next sensor has its turn."""
_IDLE_S: Final = 0.5
_GRAIN_S: Final = 0.005
"""Measurements due within this time are taken together."""


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> float:
        """Return ms since 1970; never goes back."""
        ...


class SteadyClock:
    """The wall clock at the start, advanced by the monotonic clock."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def now_ms(self) -> float:
        return (time.monotonic() + self._offset_s) * 1000


class _Line:
    """The connection to one agent: which sensors it listens to, and how far each was written."""

    def __init__(self) -> None:
        self.listening: frozenset[str] = frozenset()
        """Kept while the connection is lost, because the sensors do not notice the loss."""
        self.written: dict[str, int] = {}
        self.wake = asyncio.Event()


class Player:
    """
    Plays sensors to agents.

    Args:
        sensors: Every sensor that an agent may listen to.

        agents: The sockets on which agents listen; they need not exist yet.

        speed: How many times faster than life.

        max_hz: The most measurements a second of one sensor, at any speed.

        clock: Tells the time.

        max_kept: How many records of a sensor are kept until an agent fetches them.
    """

    def __init__(
        self,
        sensors: Iterable[VirtualSensor],
        agents: Sequence[Path],
        *,
        speed: float = 60.0,
        max_hz: float = 4.0,
        clock: Clock | None = None,
        max_kept: int = MAX_KEPT,
    ) -> None:
        self._timetables = {
            sensor.address: Timetable(
                sensor, speed=speed_of(sensor, speed=speed, max_hz=max_hz), max_kept=max_kept
            )
            for sensor in sensors
        }
        self._clock = clock if clock is not None else SteadyClock()
        self._lines = {path: _Line() for path in agents}
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self._is_finishing = False

    @property
    def books(self) -> Mapping[str, RecordLog]:
        """The counters of each sensor's records, by address."""
        return {address: table.books for address, table in self._timetables.items()}

    @property
    def connected(self) -> int:
        """How many agents listen to at least one sensor."""
        return sum(bool(line.listening) for line in self._lines.values())

    async def run(self) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure(), name="measure")
            for path, line in self._lines.items():
                tasks.create_task(self._serve(path, line), name=f"agent {path.name}")

    def finish(self) -> None:
        """Take no further measurements; records already taken are still sent."""
        self._is_finishing = True
        self._changed.set()

    @property
    def pending(self) -> int:
        """How many records were not sent to an agent yet."""
        return sum(table.pending for table in self._timetables.values())

    async def fetched(self) -> None:
        """Return as soon as no record is pending."""
        while self.pending:
            self._written.clear()
            await self._written.wait()

    async def _measure(self) -> None:
        due: list[tuple[float, str]] = []
        self._changed.set()
        while not self._is_finishing:
            if self._changed.is_set():
                self._changed.clear()
                due = [
                    (at, a)
                    for a, t in self._timetables.items()
                    if (at := t.due_at_ms()) is not None
                ]
                heapq.heapify(due)
            self._measure_due(due)
            wait_s = (due[0][0] - self._clock.now_ms()) / 1000 if due else _IDLE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait_s, _GRAIN_S), _IDLE_S)):
                    await self._changed.wait()

    def _measure_due(self, due: list[tuple[float, str]]) -> None:
        """
        Take the measurements at the top of the heap *due*, and put the sensors back with their
        next time.
        """
        now_ms = self._clock.now_ms()
        made: set[str] = set()
        while due and due[0][0] <= now_ms:
            table = self._timetables[due[0][1]]
            if table.advance(now_ms):
                made.add(due[0][1])
            next_at_ms = table.due_at_ms()
            if next_at_ms is None:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (next_at_ms, due[0][1]))
        for line in self._lines.values():
            if not made.isdisjoint(line.listening):
                line.wake.set()

    async def _serve(self, path: Path, line: _Line) -> None:
        while True:
            with contextlib.suppress(OSError, ListenError):
                await self._serve_once(path, line)
            await asyncio.sleep(_RECONNECT_S)

    async def _serve_once(self, path: Path, line: _Line) -> None:
        """
        Serve one agent until it closes the connection.

        Raises:
            OSError: No agent listens there, or the connection broke.
            ListenError: The agent sent something that is not a listen message.
        """
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
        # Little may be on its way, so that an agent that stops listening is sent little more.
        writer.transport.set_write_buffer_limits(high=_ON_THE_WAY_BYTES)
        line.written = {}
        writing = asyncio.create_task(self._write(writer, line), name=f"write {path.name}")
        try:
            # The reader ends with the connection; the writer alone might not notice the loss.
            await self._listen(reader, line)
        finally:
            writer.transport.abort()
            writing.cancel()
            # asyncio.wait instead of await, to distinguish the cancellation of that task from the
            # cancellation of this one.
            await asyncio.wait([writing])
            if not writing.cancelled() and (error := writing.exception()) is not None:
                raise error

    async def _listen(self, reader: asyncio.StreamReader, line: _Line) -> None:
        while True:
            try:
                message = await reader.readline()
            except ValueError:
                raise ListenError("a listen message is longer than 1 MiB") from None
            if not message.endswith(b"\n"):
                return
            self._heed(decode_listen(message), line)

    def _heed(self, listen: Mapping[str, int], line: _Line) -> None:
        """Start and stop sensors at once, as the agent's *listen* message says."""
        now_ms = self._clock.now_ms()
        line.listening = frozenset(listen) & self._timetables.keys()
        line.written = {
            # On one connection, the last record written is ahead of the last durable one.
            address: max(line.written.get(address, 0), listen[address])
            for address in line.listening
        }
        wanted = frozenset().union(*(other.listening for other in self._lines.values()))
        for address, table in self._timetables.items():
            if address in line.listening:
                table.resume_after(listen[address])
            if address in wanted:
                table.begin(now_ms)
            else:
                table.end(now_ms)
        self._changed.set()
        line.wake.set()

    async def _write(self, writer: asyncio.StreamWriter, line: _Line) -> None:
        while True:
            await line.wake.wait()
            line.wake.clear()
            while self._write_some(writer, line):
                await writer.drain()

    def _write_some(self, writer: asyncio.StreamWriter, line: _Line) -> bool:
        """Write a portion of each sensor's records; return whether there were any."""
        any_written = False
        for address, written in line.written.items():
            table = self._timetables[address]
            records = table.after(written, limit=_AT_ONCE)
            if records:
                any_written = True
                now_ms = self._clock.now_ms()
                writer.write(b"".join(encode_record(address, record) for record in records))
                for record in records:
                    table.hand_over(record, now_ms)
                line.written[address] = records[-1].number
                self._written.set()
        return any_written
