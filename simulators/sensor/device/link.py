"""A connection, seen from the sensor: sends values, with the faults that are due."""

import asyncio
import collections
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from simulators.sensor.device.faults import FaultKind, Faults

if TYPE_CHECKING:
    from bumble.device import Connection

_LINGER_S: Final = 0.05
"""
The wait before a link drops, in seconds. Without it, the receiver's host may lose the last value.
"""
_MAX_KEPT: Final = 100_000
_ATT_HEAD_BYTES: Final = 3


class SensorCounters(msgspec.Struct):
    """The counters of a sensor."""

    connections: int = 0
    measured: int = 0
    values: int = 0
    """Values that were due to be sent, including contexts and faults."""
    notifications: int = 0
    """Values that were sent; each repetition counts."""
    requests: int = 0
    """Requests for stored records."""
    reads: int = 0
    drops: int = 0
    """Links that the sensor broke."""


class Wire(msgspec.Struct):
    """The state that all links of a sensor share."""

    faults: Faults
    books: SensorCounters
    sent: "collections.deque[bytes]"
    """The last values that were sent, as they were sent."""


def new_wire(faults: Faults | None) -> Wire:
    """Return the shared state of a sensor that has sent nothing yet."""
    return Wire(faults or Faults(), SensorCounters(), collections.deque(maxlen=_MAX_KEPT))


class Server(Protocol):
    """The attributes that a sensor serves; implemented by `gatt_server`."""

    def cccd(self, connection: "Connection", number: int) -> int:
        """
        Return the client configuration of characteristic *number* for *connection*;
        0 for none.
        """
        ...

    async def notify(self, connection: "Connection", number: int, value: bytes) -> None:
        """Send *value* to *connection* as a notification, if it subscribed."""
        ...

    async def indicate(self, connection: "Connection", number: int, value: bytes) -> None:
        """
        Send *value* to *connection* as an indication, if it subscribed; return when it is
        confirmed.
        """
        ...


class SensorLink:
    """
    A connection to a central.

    Args:
        connection: Bumble's connection.

        server: The attributes that the sensor serves.

        wire: The state that all links of the sensor share.
    """

    def __init__(self, connection: "Connection", server: Server, wire: Wire) -> None:
        self._connection = connection
        self._server = server
        self._wire = wire
        self.is_up = True
        self.procedure: asyncio.Task[None] | None = None
        """The procedure that the central asked for last; it ends with the link."""
        self._bound: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a procedure is under way."""
        return self.procedure is not None and not self.procedure.done()

    def subscribed(self, number: int) -> bool:
        """Tell whether the central has subscribed to characteristic *number*."""
        return self.is_up and self._server.cccd(self._connection, number) != 0

    async def indicate(self, number: int, value: bytes) -> None:
        """Send *value* of characteristic *number* and wait until the central confirms it."""
        if self.is_up:
            await self._server.indicate(self._connection, number, value)

    async def notify(self, number: int, value: bytes) -> None:
        """
        Send *value* of characteristic *number* without faults; nothing without a
        subscription.
        """
        if self.subscribed(number):
            self._wire.books.notifications += 1
            self._wire.sent.append(value)
            await self._server.notify(self._connection, number, value)

    async def send(self, number: int, value: bytes) -> bool:
        """Send *value* with the faults that are due; return whether the link is still up."""
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
        """Cancel *task* when the link ends."""
        self._bound.add(task)
        task.add_done_callback(self._bound.discard)

    def lost(self) -> None:
        """End the link's tasks, because the connection is lost."""
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
