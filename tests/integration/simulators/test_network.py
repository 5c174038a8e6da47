"""The relay that simulates network failures."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from simulators.stack.network import PERFECT, Conditions, Direction, Relay

pytestmark = pytest.mark.timed


@pytest.fixture
def echo_port() -> Iterator[int]:
    """The port of a server that sends back all data."""
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
    """Held bytes arrive after the release, and none before."""
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
        client.settimeout(30)
        assert client.recv(5) == b"hello"


def test_cut_resets_connections(echo_port: int) -> None:
    """Both ends notice a cut at once."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        relay.cut()
        client.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_refused_connections_are_closed(echo_port: int) -> None:
    """A relay that refuses connections closes each at once."""
    with Relay(echo_port) as relay:
        relay.refuse()
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            client.settimeout(30)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


def _round_trip_s(client: socket.socket) -> float:
    began = time.monotonic()
    client.sendall(b"ping")
    assert client.recv(4) == b"ping"
    return time.monotonic() - began


def test_latency_is_paid_both_ways(echo_port: int) -> None:
    """A round trip takes the latency twice, and a change of it takes effect at once."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.settimeout(30)
        relay.conditions = Conditions(latency_s=0.1)
        assert _round_trip_s(client) >= 0.2
        relay.conditions = PERFECT
        assert _round_trip_s(client) < 0.2


def test_latency_does_not_lower_throughput(echo_port: int) -> None:
    """Latency does not lower the throughput: several reads are under way at once."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.settimeout(30)
        relay.conditions = Conditions(latency_s=0.2)
        began = time.monotonic()
        for _ in range(10):
            client.sendall(b"ping")
            time.sleep(0.01)
        got = b""
        while len(got) < 40:
            got += client.recv(40)
        assert time.monotonic() - began < 1.5


def test_jitter_and_stalls_never_reorder(echo_port: int) -> None:
    """Jitter and stalls never reorder bytes."""
    with (
        Relay(echo_port, seed=3) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.settimeout(10)
        relay.conditions = Conditions(jitter_s=0.02, stall=0.2, stall_s=0.1)
        sent = b""
        for number in range(40):
            sent += (piece := bytes([number]) * 7)
            client.sendall(piece)
            time.sleep(0.002)
        got = b""
        while len(got) < len(sent):
            got += client.recv(1000)
        assert got == sent


def test_bandwidth_is_a_bound(echo_port: int) -> None:
    """A bandwidth limit delays many bytes accordingly."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.settimeout(10)
        relay.conditions = Conditions(bytes_per_s=20_000)
        began = time.monotonic()
        client.sendall(bytes(5_000))
        got = 0
        while got < 5_000:
            got += len(client.recv(5_000))
        assert time.monotonic() - began >= 0.25


def test_vanished_connections_carry_nothing_and_tell_nobody(echo_port: int) -> None:
    """A half-open connection loses all data without a notice, and a new connection works."""
    with (
        Relay(echo_port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        client.settimeout(0.3)
        _round_trip_s(client)
        relay.vanish()
        client.sendall(b"ping")
        with pytest.raises(TimeoutError):
            client.recv(4)
        with socket.create_connection(("127.0.0.1", relay.port)) as other:
            other.settimeout(30)
            _round_trip_s(other)


def test_a_share_of_the_connections_is_cut(echo_port: int) -> None:
    """A cut can affect only a share of the connections."""
    with Relay(echo_port) as relay, contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", relay.port)))
            for _ in range(40)
        ]
        for client in clients:
            client.settimeout(30)
            _round_trip_s(client)
        assert relay.connections == 40
        relay.cut(0.5)
        deadline = time.monotonic() + 30
        while relay.connections == 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert 5 < relay.connections < 35
