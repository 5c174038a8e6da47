"""Connects gateways: one TLS context for all of them, and so many handshakes at once."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from simulators.fleet.errors import FleetError, LinkEnded, RosterError
from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.link import MqttLink
from simulators.fleet.gateway.transport import Transport, unreachable

_PATIENCE_S: Final = 60.0


class Dialler:
    """
    Opens connections to a broker.

    A context weighs a hundred kilobytes, and each gateway has a certificate of its own. OpenSSL
    copies the context's certificate into a connection as the connection is made; so one context
    does, with another certificate loaded before each. Nor has each connection buffers of its own:
    they would keep the size of the handshake for ever.

    Args:
        host: Of the broker.

        port: Of the broker.

        board: Where connections end.

        ca_file: Whom to trust.

        at_once: How many connections may be on their way up.

    Raises:
        RosterError: The file holds no certificate.
    """

    def __init__(
        self, host: str, port: int, board: Transport, *, ca_file: Path, at_once: int
    ) -> None:
        self._host = host
        self._port = port
        self._board = board
        self._slots = asyncio.Semaphore(at_once)
        self._rising: dict[int, asyncio.Future[None]] = {}
        self._addresses: list[tuple[int, Any]] = []
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            self._context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise RosterError(f"the CA of the roster cannot be used ({type(exc).__name__})") from (
                None
            )

    async def dial(self, gateway: Gateway, folder: Path) -> None:
        """Connect *gateway*; return once it is up, or has been told why not."""
        async with self._slots:
            if not self._addresses and (problem := await self._resolve()):
                gateway.went_down(LinkEnded(problem))
                return
            if gateway.is_offline or gateway.link is not None:
                return
            rising = asyncio.get_running_loop().create_future()
            self._rising[gateway.number] = rising
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    self._begin(gateway, folder)
                    await rising
            except TimeoutError:
                gateway.give_up("timeout")
            except FleetError:
                # Another address of the same broker may answer.
                self._addresses.append(self._addresses.pop(0))
            finally:
                self._rising.pop(gateway.number, None)

    def _begin(self, gateway: Gateway, folder: Path) -> None:
        try:
            self._context.load_cert_chain(folder / "agent.crt", folder / "agent.key")
        except OSError:
            gateway.went_down(LinkEnded("bundle_unreadable"))
            return
        tls = self._context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._host)
        gateway.link = link = MqttLink(gateway, tls, self._incoming, self._outgoing)
        family, address = self._addresses[0]
        try:
            link.line = self._board.connect(family, address, link)
        except OSError as exc:
            link.end(unreachable(exc))

    async def _resolve(self) -> str | None:
        """Look the broker up; return what kind of failure there was."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            return unreachable(exc)
        self._addresses = [(family, address) for family, _, _, _, address in found]
        return None

    def came_up(self, gateway: Gateway) -> None:
        """Take note that *gateway* is up."""
        rising = self._rising.get(gateway.number)
        if rising is not None and not rising.done():
            rising.set_result(None)

    def went_down(self, gateway: Gateway) -> None:
        """Take note that *gateway* is down."""
        rising = self._rising.get(gateway.number)
        if rising is not None and not rising.done():
            rising.set_exception(FleetError("it ended before it was up"))
