"""Connects gateways: one TLS context for all of them, a bounded number of handshakes at once."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final, cast

from runtime.logs import describe
from simulators.fleet.errors import LinkEnded, RosterError
from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.link import MqttLink

_PATIENCE_S: Final = 60.0


class _WithCertificate:
    """
    The shared TLS context with the certificate of one gateway. Used in place of an SSLContext.

    A context takes a hundred kilobytes. OpenSSL copies the certificate of a context into each new
    connection. So all gateways can share one context, which loads the right certificate just
    before each connection.

    Args:
        context: The shared context.

        folder: The bundle of the gateway.
    """

    def __init__(self, context: ssl.SSLContext, folder: Path) -> None:
        self._context = context
        self._folder = folder

    def load(self) -> None:
        """
        Load the certificate of the gateway into the shared context.

        Raises:
            OSError: The bundle cannot be read, or does not hold a certificate and its key.
        """
        self._context.load_cert_chain(self._folder / "agent.crt", self._folder / "agent.key")

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> ssl.SSLObject:
        """Return a TLS connection with the certificate of the gateway."""
        self.load()
        return self._context.wrap_bio(
            incoming, outgoing, server_side=server_side, server_hostname=server_hostname
        )


class Dialler:
    """
    Opens connections to a broker.

    Args:
        host: Host of the broker.

        port: Port of the broker.

        ca_file: The certificate authority that the broker's certificate must be signed by.

        at_once: The most connections that are being made at the same time.

    Raises:
        RosterError: The file does not hold a certificate.
    """

    def __init__(self, host: str, port: int, *, ca_file: Path, at_once: int) -> None:
        self._host = host
        self._port = port
        self._slots = asyncio.Semaphore(at_once)
        self._rising: dict[int, asyncio.Future[bool]] = {}
        self._addresses: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            self._context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise RosterError(
                f"The certificate authority of the roster cannot be read: {describe(exc)}"
            ) from None

    async def dial(self, gateway: Gateway, folder: Path) -> None:
        """
        Connect *gateway*; return when all its topics are subscribed, or it has gone down.

        Args:
            gateway: The gateway. Its link reports the result to it.

            folder: The bundle of the gateway, with certificate and key.
        """
        async with self._slots:
            if not self._addresses and (problem := await self._resolve()):
                gateway.went_down(LinkEnded(problem))
                return
            if gateway.is_offline or gateway.link is not None:
                return
            rising: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._rising[gateway.number] = rising
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._connect(gateway, folder)
                    if not await rising:
                        # Another address of the same broker may answer.
                        self._addresses.append(self._addresses.pop(0))
            except TimeoutError:
                gateway.give_up("timeout")
            finally:
                self._rising.pop(gateway.number, None)

    async def _connect(self, gateway: Gateway, folder: Path) -> None:
        gateway.link = link = MqttLink(gateway)
        certified = _WithCertificate(self._context, folder)
        try:
            # Tried before there is a socket, which asyncio would not close after such an error.
            certified.load()
        except OSError:
            link.end("bundle_unreadable")
            return
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: link,
                self._addresses[0],
                self._port,
                ssl=cast(ssl.SSLContext, certified),
                server_hostname=self._host,
            )
        except OSError as exc:
            link.end(_kind_of(exc))

    async def _resolve(self) -> str | None:
        """Resolve the broker's host once; return the kind of the failure, if there was one."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            return _kind_of(exc)
        self._addresses = [str(address[0]) for _, _, _, _, address in found]
        return None

    def came_up(self, gateway: Gateway) -> None:
        """Note that *gateway* has a connection that is ready."""
        rising = self._rising.get(gateway.number)
        if rising is not None and not rising.done():
            rising.set_result(True)

    def went_down(self, gateway: Gateway) -> None:
        """Note that *gateway* has lost its connection, or could not be connected."""
        rising = self._rising.get(gateway.number)
        if rising is not None and not rising.done():
            rising.set_result(False)


def _kind_of(exc: OSError) -> str:
    """Return the kind of a connection that could not be made."""
    if isinstance(exc, ssl.SSLError):
        return "tls"
    if isinstance(exc, (ConnectionResetError, ConnectionAbortedError)):
        return "reset"
    return f"unreachable_{type(exc).__name__}"
