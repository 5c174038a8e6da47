"""
The player: the sensors of many people, on the sockets of many agents.

Connects, and connects again for ever. A task for each socket writes what its agent listens to;
one more measures what is due. A sensor measures on while its agent is away, and its records are
fetched afterwards with the instants at which they were measured; it stops at the first listen
message that leaves it out.
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
"""What is due within this time is measured in one go."""


class Clock(Protocol):
    """What time it is."""

    def now_ms(self) -> float:
        """Return ms since 1970; it never goes back."""
        ...


class SteadyClock:
    """The wall clock as it was at the start, moved on by the monotonic one."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def now_ms(self) -> float:
        return (time.monotonic() + self._offset_s) * 1000


class _Line:
    """The connection to one agent: what it listens to, and how far each sensor was written."""

    def __init__(self) -> None:
        self.listening: frozenset[str] = frozenset()
        """Kept while the connection is lost: the sensors know nothing of that."""
        self.written: dict[str, int] = {}
        self.wake = asyncio.Event()


class Player:
    """
    Plays sensors to agents.

    Args:
        sensors: Every sensor that an agent may listen to.

        agents: The sockets that agents listen on; they need not exist yet.

        speed: How many times faster than life.

        max_hz: The most measurements a second of one sensor, whatever the speed.

        clock: What time it is.

        max_kept: How many records of a sensor are remembered.
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
        """What became of each sensor's records, by its address."""
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
        """Measure no more; what was measured is still handed over."""
        self._is_finishing = True
        self._changed.set()

    @property
    def pending(self) -> int:
        """How many measured records no agent has been handed yet."""
        return sum(table.pending for table in self._timetables.values())

    async def fetched(self) -> None:
        """Return once nothing is pending."""
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
        """Measure the sensors at the head of the heap *due*, and put them back where they go."""
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
        Talk with one agent until it hangs up.

        Raises:
            OSError: There is nobody, or the connection broke.
            ListenError: The agent sent something else than a listen message.
        """
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
        # Little is on its way when an agent stops listening.
        writer.transport.set_write_buffer_limits(high=_ON_THE_WAY_BYTES)
        line.written = {}
        writing = asyncio.create_task(self._write(writer, line), name=f"write {path.name}")
        try:
            # The reader ends with the connection; the writer alone might never notice.
            await self._listen(reader, line)
        finally:
            writer.transport.abort()
            writing.cancel()
            # Waited for, not awaited: its cancellation must not be taken for ours, nor ours lost.
            await asyncio.wait([writing])
            if not writing.cancelled() and (error := writing.exception()) is not None:
                raise error

    async def _listen(self, reader: asyncio.StreamReader, line: _Line) -> None:
        while True:
            try:
                message = await reader.readline()
            except ValueError:
                raise ListenError("a listen message is too long") from None
            if not message.endswith(b"\n"):
                return
            self._heed(decode_listen(message), line)

    def _heed(self, listen: Mapping[str, int], line: _Line) -> None:
        """Begin and end sensors as an agent's *listen* says, at once."""
        now_ms = self._clock.now_ms()
        line.listening = frozenset(listen) & self._timetables.keys()
        line.written = {
            # On one connection, what was written is ahead of what the agent holds safely.
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
        """Write a portion of each sensor's records; return whether there was any."""
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
