"""The enrolment service stops under connections: none is left open, and none is left to chance."""

import asyncio
import contextlib
import gc
import socket
from typing import Any

import pytest

from tests.fixtures.pki import Certificates
from trust.config import ServeSettings
from trust.enrolment.https_server import Server, make_server


async def _app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request is sent")


@pytest.fixture
def settings(certificates: Certificates) -> ServeSettings:
    """The service on any free port."""
    folder = certificates.folder
    return ServeSettings(
        host="127.0.0.1",
        port=0,
        certificate_file=folder / "broker.crt",
        key_file=folder / "broker.key",
        ca_file=folder / "ca.crt",
        ingest_key_file=folder / "ingest.pub",
    )


def _connect(server: Server, count: int) -> list[socket.socket]:
    """Connect as far as the kernel does, while the server's loop does nothing."""
    address = server.servers[0].sockets[0].getsockname()
    return [socket.create_connection(address, timeout=5) for _ in range(count)]


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("turns", range(6))
async def test_connections_that_come_with_the_end_are_closed(
    settings: ServeSettings, turns: int
) -> None:
    """However far a connection is when the service stops, it is closed by the service."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: problems.append(found))
    server = make_server(_app, settings)
    # As `Server.serve` does, whose turns of the loop this test counts itself.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    with contextlib.ExitStack() as closing:
        clients = [closing.enter_context(one) for one in _connect(server, 3)]
        # Each turn of the loop brings them one step on: accepted, connected, shaking hands.
        for _ in range(turns):
            await asyncio.sleep(0)

        await server.shutdown()

        assert all([await asyncio.to_thread(_is_closed, client) for client in clients])
    # A socket that nothing closed is told of here, which fails this test.
    gc.collect()
    assert problems == []
