"""HTTPS for the enrolment service with uvicorn: TLS 1.3, with client certificates if sent."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.errors import ConfigError
from runtime.tls import check_files
from trust.config import ServeSettings
from trust.enrolment.api import PEER
from trust.enrolment.visitors import Visitors

_BACKLOG: Final = 128
_TURNS_TO_CONNECT: Final = 3
"""Turns of the event loop from an accepted connection to the first call of its protocol."""


class _Protocol(H11Protocol):
    """
    Passes the verified client certificate to the application, and reports the connection's
    state.
    """

    on_gone: Callable[[], None]
    _is_made = False
    _early = b""

    @property
    def is_busy(self) -> bool:
        """Whether a request is complete and its answer is under way."""
        # This is None before the first request, although the library's types exclude it.
        cycle = cast("Any", self.cycle)
        return cycle is not None and not (cycle.more_body or cycle.response_complete)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        peer = None if tls is None else tls.getpeercert(binary_form=True)
        app = self.app

        async def with_peer(scope: Any, receive: Any, send: Any) -> None:
            scope[PEER] = peer
            await app(scope, receive, send)

        self.app = with_peer
        self._is_made = True
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        # The data came with the last flight of the handshake, before the task was told.
        if self._is_made:
            super().data_received(data)
        else:
            self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_gone()
        if self._is_made:
            super().connection_lost(exc)


class Server(uvicorn.Server):
    """Leaves signals to this program, and accepts connections through `Visitors`."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the address; raise OSError if that fails."""
        await self.lifespan.startup()
        config = self.config
        tls = config.ssl
        if tls is None:
            raise TypeError("the enrolment service needs TLS")
        self._visitors = Visitors(
            tls,
            lambda: _Protocol(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            ),
        )
        self.servers = [
            await asyncio.get_running_loop().create_server(
                self._visitors.visitor, host=config.host, port=config.port, backlog=_BACKLOG
            )
        ]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that are under way, and accept no new ones."""
        await self._stop_accepting()
        self._visitors.close()
        await super().shutdown(sockets)

    async def _stop_accepting(self) -> None:
        """
        Stop accepting, and wait until each connection that was accepted has its protocol.

        asyncio makes an accepted connection in a task of its own, and calls its protocol in the
        turn of the loop after that. If the server were closed before, the socket would stay open.
        """
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listening in server.sockets:
                loop.remove_reader(listening)
        for _ in range(_TURNS_TO_CONNECT):
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def context(settings: ServeSettings) -> ssl.SSLContext:
    """
    Return the TLS context of the server.

    Raises:
        ConfigError: A file is missing, or has the wrong content.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_OPTIONAL
    check_files(settings, section="serve")
    try:
        made.load_cert_chain(settings.certificate_file, settings.key_file)
        made.load_verify_locations(settings.ca_file)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            key="serve",
            source=f"{settings.certificate_file}, {settings.key_file}, {settings.ca_file}",
            problem="these are not a PEM certificate with its key, and a CA",
            remedy="Use enrolment.crt, enrolment.key and ca.crt of `vitalveil trust pki init`.",
        ) from None
    return made


async def serve(app: Any, settings: ServeSettings, stop: asyncio.Event) -> None:
    """
    Serve *app* until *stop*; requests that are under way are answered.

    Raises:
        ConfigError: The files cannot be used, or the server cannot listen on the address.
    """
    server = make_server(app, settings)
    serving = asyncio.create_task(_run(server, settings), name="enrolment")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


def make_server(app: Any, settings: ServeSettings) -> Server:
    """
    Return a server of *app*, which does not listen yet.

    Raises:
        ConfigError: The files cannot be used.
    """
    tls = context(settings)
    return Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            ssl_context_factory=lambda _config, _default: tls,
            log_config=None,
            access_log=False,
            # The client's address is that of the connection: a header could name any address.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=16_384,
        )
    )


async def _run(server: Server, settings: ServeSettings) -> None:
    try:
        await server.serve()
    except OSError:
        raise ConfigError(
            key="serve.port",
            source="settings",
            problem=f"cannot listen on {settings.host}:{settings.port}",
            remedy="Choose a free port, and an address of this machine.",
        ) from None
