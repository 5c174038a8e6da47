"""Lines of a fleet, on real sockets of loopback."""

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from simulators.fleet.gateway.transport import Socket, Transport


class _Talker:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.line: Socket | None = None
        self.is_open = False
        self.data = b""
        self.calls = 0
        self.kinds: list[str] = []

    def opened(self) -> None:
        self.is_open = True

    def heard(self, data: bytes) -> None:
        self.data += data
        self.calls += 1

    def lost(self, kind: str) -> None:
        self.kinds.append(kind)


@pytest.fixture
def board() -> Iterator[Transport]:
    """A switchboard."""
    found = Transport()
    yield found
    found.close()


class _Server:
    """Somebody who listens, and hangs up on everybody at the end."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self._accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        found, _ = self.socket.accept()
        self._accepted.append(found)
        return found

    def close(self) -> None:
        for one in (self.socket, *self._accepted):
            one.close()


@pytest.fixture
def server() -> Iterator[_Server]:
    """Somebody who listens."""
    found = _Server()
    yield found
    found.close()


def _until(board: Transport, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        board.poll()
        time.sleep(0.001)


def _connect(board: Transport, server: _Server) -> tuple[_Talker, Socket, socket.socket]:
    handler = _Talker()
    line = board.connect(socket.AF_INET, server.socket.getsockname(), handler)
    other = server.accept()
    _until(board, lambda: handler.is_open)
    return handler, line, other


def test_bytes_go_both_ways(board: Transport, server: _Server) -> None:
    """What is sent arrives, and what comes is told."""
    handler, line, other = _connect(board, server)
    line.send(b"there")
    board.flush()
    assert other.recv(100) == b"there"
    other.sendall(b"back")
    _until(board, lambda: handler.data == b"back")
    other.close()
    _until(board, lambda: handler.kinds == ["closed"])
    assert len(board) == 0


def test_what_is_sent_in_one_go_leaves_together(board: Transport, server: _Server) -> None:
    """Until the switchboard is flushed nothing leaves; then all of it does, in order."""
    _, line, other = _connect(board, server)
    line.send(b"one ")
    line.send(b"two ")
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(100)
    board.flush()
    other.settimeout(20)
    assert other.recv(100) == b"one two "
    line.send(b"three")
    board.poll()
    assert other.recv(100) == b"three"


def test_a_goodbye_takes_along_what_was_to_be_sent(board: Transport, server: _Server) -> None:
    """A line that closes sends first what nobody has flushed; one that is aborted does not."""
    for ends, arrives in ((Socket.close, b"bye"), (Socket.abort, b"")):
        _, line, other = _connect(board, server)
        line.send(b"bye")
        ends(line)
        board.flush()
        other.settimeout(20)
        assert other.recv(100) == arrives


def test_nobody_listening_is_told(board: Transport, server: _Server) -> None:
    """A connection that never came to be has a kind of its own."""
    address = server.socket.getsockname()
    server.close()
    handler = _Talker()
    board.connect(socket.AF_INET, address, handler)
    _until(board, lambda: bool(handler.kinds))
    assert handler.kinds == ["unreachable_ConnectionRefusedError"]
    assert len(board) == 0


def test_a_reset_is_told_once(board: Transport, server: _Server) -> None:
    """A connection that the other end resets is lost once, also when it is written to after."""
    handler, line, other = _connect(board, server)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    _until(board, lambda: bool(handler.kinds))
    line.send(b"too late")
    board.flush()
    line.pause_reading()
    line.abort()
    board.poll()
    assert handler.kinds == ["reset"]


def test_little_does_not_wake_until_somebody_looks(board: Transport, server: _Server) -> None:
    """Below the mark bytes lie until more come or somebody looks; an end of it is told at once."""
    handler, line, other = _connect(board, server)
    line.wake_at(64)
    other.sendall(b"x" * 30)
    probe = _connect(board, server)
    probe[2].sendall(b"y")
    _until(board, lambda: probe[0].data == b"y")
    assert handler.data == b""
    line.look()
    assert handler.data == b"x" * 30
    line.look()
    other.sendall(b"x" * 64)
    _until(board, lambda: len(handler.data) == 94)
    other.sendall(b"x")
    other.close()
    _until(board, lambda: handler.kinds == ["closed"])
    assert len(handler.data) == 95


def test_what_the_network_does_not_take_goes_later(board: Transport, server: _Server) -> None:
    """More than fits is kept, in order, and goes as the other end reads."""
    _, line, other = _connect(board, server)
    sent = b"".join(struct.pack(">I", n) * 256 for n in range(20_000))
    for begin in range(0, len(sent), 100_000):
        line.send(sent[begin : begin + 100_000])
    other.setblocking(False)
    got = bytearray()

    def reads() -> bool:
        try:
            got.extend(other.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(got) == len(sent)

    _until(board, reads)
    assert bytes(got) == sent


def test_a_line_that_does_not_read_leaves_it_to_the_network(
    board: Transport, server: _Server
) -> None:
    """While reading is paused nothing is told; afterwards all of it is."""
    handler, line, other = _connect(board, server)
    line.pause_reading()
    other.sendall(b"later")
    probe = _connect(board, server)
    probe[2].sendall(b"y")
    _until(board, lambda: probe[0].data == b"y")
    assert handler.data == b""
    line.resume_reading()
    _until(board, lambda: handler.data == b"later")


def test_one_may_end_another_that_is_ready(board: Transport, server: _Server) -> None:
    """A line that ends in the turn in which something came for it hears nothing more."""
    talkers = [_connect(board, server) for _ in range(2)]
    heard: list[int] = []
    for number, (handler, _, _) in enumerate(talkers):

        def ends_the_other(data: bytes, number: int = number) -> None:
            heard.append(number)
            talkers[1 - number][1].abort()

        handler.heard = ends_the_other  # type: ignore[method-assign]
    for _, _, other in talkers:
        other.sendall(b"x")
    time.sleep(0.05)
    _until(board, lambda: bool(heard))
    board.poll()
    assert len(heard) == 1
    assert len(board) == 1
