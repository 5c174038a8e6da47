"""A connection as the sensor sees it: what goes out on it, and what goes wrong on the way."""

import asyncio
import collections
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from simulators.sensor.device.faults import FaultKind, Faults

if TYPE_CHECKING:
    from bumble.device import Connection

_LINGER_S: Final = 0.05
"""What is sent just before a link drops may be lost by the receiver's host; this lets it pass."""
_MAX_KEPT: Final = 100_000
_ATT_HEAD_BYTES: Final = 3


class SensorCounters(msgspec.Struct):
    """What a sensor has done."""

    connections: int = 0
    measured: int = 0
    values: int = 0
    """That were due to be sent, contexts and faults included."""
    notifications: int = 0
    """That were put on the air; repeated ones count again."""
    requests: int = 0
    """For stored records."""
    reads: int = 0
    drops: int = 0
    """Links that broke from the sensor's side."""


class Wire(msgspec.Struct):
    """What all the links of a sensor share."""

    faults: Faults
    books: SensorCounters
    sent: "collections.deque[bytes]"
    """What was put on the air, as it was; the last of it."""


def new_wire(faults: Faults | None) -> Wire:
    """Return a wire on which nothing was sent yet."""
    return Wire(faults or Faults(), SensorCounters(), collections.deque(maxlen=_MAX_KEPT))


class Server(Protocol):
    """What a sensor serves: `gatt_server` fills it."""

    def cccd(self, connection: "Connection", number: int) -> int:
        """Return how *connection* configured characteristic *number*; 0 is not at all."""
        ...

    async def notify(self, connection: "Connection", number: int, value: bytes) -> None:
        """Send *value* to *connection*, if it subscribed."""
        ...

    async def indicate(self, connection: "Connection", number: int, value: bytes) -> None:
        """Send *value* to *connection*, if it subscribed, and wait until it confirms."""
        ...


class SensorLink:
    """
    A connection to a central.

    Args:
        connection: Bumble's.

        server: What the sensor serves.

        wire: What it shares with the other links.
    """

    def __init__(self, connection: "Connection", server: Server, wire: Wire) -> None:
        self._connection = connection
        self._server = server
        self._wire = wire
        self.is_up = True
        self.procedure: asyncio.Task[None] | None = None
        """What the central asked for last; it may still be under way, and ends with the link."""
        self._bound: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a procedure is under way."""
        return self.procedure is not None and not self.procedure.done()

    def subscribed(self, number: int) -> bool:
        """Tell whether the central wants to be told of characteristic *number*."""
        return self.is_up and self._server.cccd(self._connection, number) != 0

    async def indicate(self, number: int, value: bytes) -> None:
        """Send *value* of characteristic *number* and wait until the central confirms."""
        if self.is_up:
            await self._server.indicate(self._connection, number, value)

    async def notify(self, number: int, value: bytes) -> None:
        """Send *value* of characteristic *number*, faultlessly; nothing if nobody subscribed."""
        if self.subscribed(number):
            self._wire.books.notifications += 1
            self._wire.sent.append(value)
            await self._server.notify(self._connection, number, value)

    async def send(self, number: int, value: bytes) -> bool:
        """Send *value* with the faults that are due; tell whether the link is still up."""
        books, faults = self._wire.books, self._wire.faults
        books.values += 1
        place = books.values
        if faults.strikes(FaultKind.DROP, place):
            await asyncio.sleep(_LINGER_S)
            await self.drop()
            return False
        if not faults.strikes(FaultKind.SILENCE, place):
            repeat = faults.find(FaultKind.REPEAT, place)
            for _ in range(1 if repeat is None else repeat.number):
                await self.notify(number, self._spoil(value, place))
        return self.is_up

    async def drop(self) -> None:
        """Break the connection from the sensor's side."""
        if self.is_up:
            self._wire.books.drops += 1
            await self._connection.disconnect()

    def bind(self, task: asyncio.Task[None]) -> None:
        """Let *task* end with the link."""
        self._bound.add(task)
        task.add_done_callback(self._bound.discard)

    def lost(self) -> None:
        """Be told that the connection is gone."""
        self.is_up = False
        for task in self._bound:
            task.cancel()

    def _spoil(self, value: bytes, place: int) -> bytes:
        faults = self._wire.faults
        if faults.strikes(FaultKind.MALFORMED, place):
            value = value[: len(value) // 2]
        if value and faults.strikes(FaultKind.WRONG_CRC, place):
            value = value[:-1] + bytes((value[-1] ^ 0xFF,))
        if faults.strikes(FaultKind.OVERSIZED, place):
            value = value.ljust(int(self._connection.att_mtu) - _ATT_HEAD_BYTES, b"\xff")
        return value
