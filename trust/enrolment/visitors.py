"""
Limits on connections to the enrolment service: how many, from which network, and how long.

Anyone may connect, and a connection uses resources before its client is authenticated. So each
connection has a deadline for its handshake and another for its whole life, and the number of
connections is limited for each network and in total. A connection above the limit closes the
oldest one that waits for its client, but never one whose request is being answered.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from trust.enrolment.throttle import network_of

MOST: Final = 200
MOST_OF_ONE: Final = 20
"""The connections of one IPv4 address or one IPv6 /64, behind which a household or a hospital may
be.
"""
HANDSHAKE_S: Final = 5.0
LONGEST_S: Final = 20.0
"""How long a connection lasts, from the first byte of its handshake."""


class Served(Protocol):
    """The HTTP protocol of a connection whose handshake is complete."""

    is_busy: bool
    """Whether a request is complete and its answer is under way."""
    on_gone: Callable[[], None]
    """The callback that runs once when the connection is lost."""


class Visitors:
    """
    Admits connections within the limits.

    Args:
        tls: The TLS context of the server.

        make: Returns the HTTP protocol: both an asyncio protocol and a `Served`.
    """

    def __init__(self, tls: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> None:
        self._tls = tls
        self._make = make
        self._inside: dict[_Visitor, str] = {}

    def visitor(self) -> asyncio.Protocol:
        """Return the asyncio protocol for the next connection."""
        return _Visitor(self, self._tls, self._make)

    def enter(self, one: "_Visitor", network: str) -> bool:
        """
        Admit *one* of *network*, if necessary in place of the oldest waiting one; return
        whether.
        """
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
        """Remove the connection *one* from the counts."""
        self._inside.pop(one, None)

    def close(self) -> None:
        """Close all connections that wait for their clients."""
        for one in [one for one in self._inside if not one.is_busy]:
            one.abort()


class _Visitor(asyncio.Protocol):
    """One connection, from the moment the server accepts it."""

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
        """Whether the connection's request is being answered."""
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
        # Bytes that are no handshake end only the connection that sent them.
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
        """Close the connection at once."""
        self._gone()
        self._transport.abort()
