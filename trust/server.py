"""HTTPS for the enrolment desk, the door of uvicorn: TLS 1.3, both sides if the client can."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.errors import ConfigError
from trust.api import PEER
from trust.config import ServeSettings

_LONGEST_S: Final = 20.0
"""How long a connection lasts: who sends a byte a minute does not hold a place for ever."""
_MAX_CONNECTIONS: Final = 200
_BACKLOG: Final = 128


class _Protocol(H11Protocol):
    """Hands the application the certificate that TLS verified."""

    _ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        peer = None if tls is None else tls.getpeercert(binary_form=True)
        app = self.app

        async def with_peer(scope: Any, receive: Any, send: Any) -> None:
            scope[PEER] = peer
            await app(scope, receive, send)

        self.app = with_peer
        self._ending = self.loop.call_later(_LONGEST_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ending is not None:
            self._ending.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def context(settings: ServeSettings) -> ssl.SSLContext:
    """
    Return the context of the server.

    Raises:
        ConfigError: A file is missing, or not what it should be.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_OPTIONAL
    try:
        made.load_cert_chain(settings.certificate_file, settings.key_file)
        made.load_verify_locations(settings.ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            key="serve",
            source=f"{settings.certificate_file}, {settings.key_file}, {settings.ca_file}",
            problem=f"not a PEM certificate with its key, and a CA ({type(exc).__name__})",
            mend="Use enrolment.crt, enrolment.key and ca.crt of `vitalveil trust pki init`.",
        ) from None
    return made


async def serve(app: Any, settings: ServeSettings, stop: asyncio.Event) -> None:
    """
    Serve *app* until *stop*; requests that are under way are answered.

    Raises:
        ConfigError: The files cannot be used, or the address cannot be listened on.
    """
    tls = context(settings)
    server = _Server(
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
            # Whoever asks is who is connected: a header could name anybody.
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            backlog=_BACKLOG,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=16_384,
        )
    )
    serving = asyncio.create_task(_run(server, settings), name="desk")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


async def _run(server: _Server, settings: ServeSettings) -> None:
    try:
        await server.serve()
    except SystemExit:
        # How the library says that it cannot listen.
        raise ConfigError(
            key="serve.port",
            source="settings",
            problem=f"cannot listen on {settings.host}:{settings.port}",
            mend="Choose a free port, and an address of this machine.",
        ) from None
