"""The network that fails."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from simulators.network import Direction, Relay


@pytest.fixture
def echo_port() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=echo, args=[connection], daemon=True).start()

        def echo(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(1024):
                    connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_held_bytes_arrive_once_released(echo_port: int) -> None:
    """A stall loses nothing and delivers nothing."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        relay.hold(Direction.DOWN)
        client.settimeout(0.2)
        client.sendall(b"hello")
        with pytest.raises(TimeoutError):
            client.recv(5)
        relay.release()
        client.settimeout(5)
        assert client.recv(5) == b"hello"


def test_cut_resets_connections(echo_port: int) -> None:
    """A cut is seen by both ends at once."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        relay.cut()
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_refused_connections_are_closed(echo_port: int) -> None:
    """A network that refuses lets nobody speak to the server."""
    with Relay(echo_port) as relay:
        relay.refuse()
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            client.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
