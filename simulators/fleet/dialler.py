"""Connects gateways: one TLS context for all of them, and so many handshakes at once."""

import asyncio
import ssl
from pathlib import Path
from typing import Final

from simulators.fleet.errors import FleetError, RosterError
from simulators.fleet.gateway import Gateway
from simulators.fleet.link import Link

_PATIENCE_S: Final = 60.0


class Dialler:
    """
    Opens connections to a broker.

    A context weighs a hundred kilobytes, and each gateway has a certificate of its own. OpenSSL
    copies the context's certificate into a connection as the connection is made; so one context
    does, with another certificate loaded before each.

    Args:
        host: Of the broker.

        port: Of the broker.

        ca_file: Whom to trust.

        at_once: How many connections may be on their way up.

    Raises:
        RosterError: The file holds no certificate.
    """

    def __init__(self, host: str, port: int, *, ca_file: Path, at_once: int) -> None:
        self._host = host
        self._port = port
        self._slots = asyncio.Semaphore(at_once)
        self._rising: dict[int, asyncio.Future[None]] = {}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            self._context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise RosterError(f"the CA of the roster cannot be used ({type(exc).__name__})") from (
                None
            )

    async def dial(self, gateway: Gateway, folder: Path) -> str | None:
        """Connect *gateway*; return None once it is up, else what kind of failure there was."""
        async with self._slots:
            if gateway.is_offline or gateway.link is not None:
                return None
            rising = asyncio.get_running_loop().create_future()
            self._rising[gateway.number] = rising
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await asyncio.get_running_loop().create_connection(
                        lambda: self._link(gateway, folder), self._host, self._port
                    )
                    await rising
            except TimeoutError:
                self._give_up(gateway, "timeout")
                return "timeout"
            except OSError as exc:
                self._give_up(gateway, "unreachable")
                return f"unreachable_{type(exc).__name__}"
            except FleetError:
                return "ended"
            finally:
                self._rising.pop(gateway.number, None)
        return None

    def _link(self, gateway: Gateway, folder: Path) -> Link:
        self._context.load_cert_chain(folder / "agent.crt", folder / "agent.key")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_hostname=self._host)
        gateway.link = Link(gateway, tls, incoming, outgoing)
        return gateway.link

    @staticmethod
    def _give_up(gateway: Gateway, kind: str) -> None:
        if gateway.link is not None:
            gateway.link.end(kind)

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
