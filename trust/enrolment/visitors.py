"""
Visitors of the enrolment service: which connections it lets in, how many, and for how long.

Anyone may connect, and a connection costs us before anyone has said who they are. So each has a
deadline for its handshake and one for all of it, each network has a bounded number, and so have
all together. One more closes the oldest that waits for its client, never one that is served.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from trust.enrolment.throttle import network_of

MOST: Final = 200
MOST_OF_ONE: Final = 20
"""Of one IPv4 address, or one /64 of IPv6: what one household, or one hospital, has behind it."""
HANDSHAKE_S: Final = 5.0
LONGEST_S: Final = 20.0
"""How long a connection lasts, from the first byte of its handshake."""


class Served(Protocol):
    """What speaks HTTP with a client whose handshake is over."""

    is_busy: bool
    """Whether a request is whole, and its answer is on its way."""
    on_gone: Callable[[], None]
    """Called once the connection is lost."""


class Visitors:
    """
    Lets connections in.

    Args:
        tls: What is spoken.

        make: Returns what speaks HTTP, a protocol of asyncio and a `Served`.
    """

    def __init__(self, tls: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> None:
        self._tls = tls
        self._make = make
        self._inside: dict[_Visitor, str] = {}

    def visitor(self) -> asyncio.Protocol:
        """Return what takes the next connection."""
        return _Visitor(self, self._tls, self._make)

    def enter(self, one: "_Visitor", network: str) -> bool:
        """Let *one* of *network* in, if need be for the oldest that waits; tell whether."""
        of_network = [other for other, known in self._inside.items() if known == network]
        others: list[_Visitor] = []
        if len(of_network) >= MOST_OF_ONE:
            others = of_network
        elif len(self._inside) >= MOST:
            others = list(self._inside)
        if others:
            oldest = next((other for other in others if not other.is_busy), None)
            if oldest is None:
                return False
            oldest.abort()
        self._inside[one] = network
        return True

    def leave(self, one: "_Visitor") -> None:
        """Forget *one*."""
        self._inside.pop(one, None)

    def close(self) -> None:
        """Close all that wait for their clients."""
        for one in [one for one in self._inside if not one.is_busy]:
            one.abort()


class _Visitor(asyncio.Protocol):
    """A connection, from the moment that it is accepted."""

    _transport: asyncio.Transport
    _task: asyncio.Task[None]

    def __init__(
        self, door: Visitors, tls: ssl.SSLContext, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._door = door
        self._tls = tls
        self._make = make
        self._served: asyncio.Protocol | None = None
        self._ending: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether its request is being answered."""
        return self._served is not None and cast("Served", self._served).is_busy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if not self._door.enter(self, network_of(str(peer[0]) if peer else "")):
            self._transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._ending = loop.call_later(LONGEST_S, self.abort)
        self._task = loop.create_task(self._shake_hands(), name="handshake")

    async def _shake_hands(self) -> None:
        served = self._make()
        cast("Served", served).on_gone = self._gone
        # Whatever a stranger sends instead of a handshake ends their connection, and nothing else.
        with contextlib.suppress(OSError, ssl.SSLError):
            secured = await asyncio.get_running_loop().start_tls(
                self._transport,
                served,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
            if secured is not None and not secured.is_closing():
                self._served = served
                served.connection_made(secured)
                return
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    def _gone(self) -> None:
        self._door.leave(self)
        if self._ending is not None:
            self._ending.cancel()

    def abort(self) -> None:
        """Close at once."""
        self._gone()
        self._transport.abort()
