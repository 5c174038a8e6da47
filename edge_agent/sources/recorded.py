"""
Recorded sensors: a player connects to the agent's Unix socket and sends measurements.

Newline-delimited JSON in both directions. To the player: which sensors to play, and from which
record on, at each connection and each change of the set. From the player: measurements. Any other
line is counted and skipped. When the agent has no room, measurements wait in the socket, which
slows the player down.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from edge_agent.sources.lines import LineSplitter
from edge_agent.values.measurement import Measurement
from runtime.causes.files import of_file
from runtime.errors import ConfigError
from runtime.logs import Log
from wire.quantities import BY_NAME, Quantity, round_half_even
from wire.refusals import FROM_SENSOR, Refusal

MAX_WAITING: Final = 2048
"""How many measurements may wait before the sockets are no longer read."""
MAX_TAKEN: Final = 512
MAX_PLAYERS: Final = 8
_READ_BYTES: Final = 65_536
_MAX_ADDRESS: Final = 64
_MAX_POWER_OF_TEN: Final = 15

_log = Log("agent.recorded")


class _Line(msgspec.Struct, frozen=True):
    sensor: Annotated[str, Meta(min_length=1, max_length=_MAX_ADDRESS)]
    record: Annotated[int, Meta(ge=1, lt=1 << 53)]
    quantity: str
    at_ms: Annotated[int, Meta(ge=-(1 << 53), lt=1 << 53)]
    value: Any = None
    """A JSON number, as an int or a Decimal."""
    fault: Refusal | None = None


_decoder = msgspec.json.Decoder(_Line, float_hook=Decimal)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_line(line: bytes) -> Measurement | None:
    """Return the measurement in *line*; None if the line holds none."""
    try:
        said = _decoder.decode(line)
        said.sensor.encode()  # JSON can write half of a surrogate pair, which is no text.
    except (*_UNREADABLE, UnicodeEncodeError):
        return None
    quantity = BY_NAME.get(said.quantity)
    if quantity is None or (said.value is None) == (said.fault is None):
        return None
    if said.fault is not None and said.fault not in FROM_SENSOR:
        return None
    steps = None
    if said.fault is None:
        if isinstance(said.value, bool) or not isinstance(said.value, int | Decimal):
            return None
        steps = _steps_of(Decimal(said.value), quantity)
    return Measurement(said.sensor, quantity.code, said.at_ms, steps, said.fault, said.record)


def _steps_of(value: Decimal, quantity: Quantity) -> int:
    """Return *value* as the nearest whole number of steps, or one beyond the plausible range."""
    power = value.adjusted()
    if power > _MAX_POWER_OF_TEN:
        # Written out, such a number could fill the memory. Any implausible number stands for it.
        return quantity.low - 1 if value < 0 else quantity.high + 1
    if power < -_MAX_POWER_OF_TEN:
        return 0
    dividend, divisor = value.as_integer_ratio()
    return round_half_even(dividend * quantity.per_unit, divisor)


def format_listen(cursors: Mapping[str, int]) -> bytes:
    """Return the line that tells a player which sensors to play, from which record on."""
    return msgspec.json.encode({"listen": dict(cursors)}) + b"\n"


class RecordedSensors:
    """
    `Sensors` that players bring.

    Args:
        malformed: Called for each line that holds no measurement.
    """

    def __init__(self, *, malformed: Callable[[], None]) -> None:
        self._malformed = malformed
        self._cursors: dict[str, int] | None = None
        """None until the first lease: a player that connects earlier keeps its sensors."""
        self._players: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Measurement] = deque()
        self._has_some = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    @contextlib.asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[None]:
        """
        Listen on the socket *path*, for this user only, while the context is open.

        Raises:
            ConfigError: The socket cannot be made there.
        """
        try:
            server = await asyncio.start_unix_server(self._accept, path, limit=_READ_BYTES)
            path.chmod(0o600)  # noqa: ASYNC240 - once, at start
        except OSError as exc:
            raise ConfigError(
                key="sensors.recorded_socket",
                source=str(path),
                problem=f"the socket cannot be made: {of_file(exc).text}",
                remedy="Choose a path of at most 107 bytes in a folder that is writable.",
            ) from None
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the end

    async def listen(self, cursors: Mapping[str, int]) -> None:
        self._cursors = dict(cursors)
        for player in self._players:
            self._tell(player)

    def advance(self, cursors: Mapping[str, int]) -> None:
        if self._cursors is not None:
            for sensor in self._cursors.keys() & cursors.keys():
                self._cursors[sensor] = cursors[sensor]

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        if not self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._has_some.wait()
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_TAKEN))]
        if not self._waiting:
            self._has_some.clear()
        if len(self._waiting) < MAX_WAITING:
            self._has_room.set()
        return taken

    def _tell(self, player: asyncio.StreamWriter) -> None:
        # Not drained: a player that does not read is told a few lines a day at most.
        if self._cursors is not None and not player.is_closing():
            player.write(format_listen(self._cursors))

    async def _accept(self, reader: asyncio.StreamReader, player: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._players) >= MAX_PLAYERS:
            player.close()
            return
        self._tasks.add(task)
        self._players.add(player)
        _log.info("player_connected", players=len(self._players))
        try:
            self._tell(player)
            await self._read(reader)
        except OSError:
            pass  # The player is gone; it comes back by itself.
        except asyncio.CancelledError:
            pass  # Closing. asyncio's own callback would log a cancelled handler as an error.
        finally:
            self._players.discard(player)
            self._tasks.discard(task)
            player.close()
            _log.info("player_disconnected", players=len(self._players))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        splitter, skipped = LineSplitter(), 0
        while data := await reader.read(_READ_BYTES):
            for line in splitter.feed(data):
                measurement = parse_line(line)
                if measurement is None:
                    self._malformed()
                    continue
                await self._has_room.wait()
                self._put(measurement)
            for _ in range(skipped, splitter.skipped):
                self._malformed()
            skipped = splitter.skipped

    def _put(self, measurement: Measurement) -> None:
        self._waiting.append(measurement)
        self._has_some.set()
        if len(self._waiting) >= MAX_WAITING:
            self._has_room.clear()
