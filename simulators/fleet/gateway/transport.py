"""
The switchboard: the sockets of all gateways of a process, behind one epoll that is asked when the
process has its turn.

A transport of asyncio's weighs kilobytes and wakes the process for each message. Here a line is a
socket and a few slots, and whatever has come for thousands of lines is taken in one go.
"""

import contextlib
import errno
import select
import socket
from typing import Any, Final, Protocol

_READ_BYTES: Final = 16_384
_AT_ONCE: Final = 1024
_DATA: Final = select.EPOLLIN
_GONE: Final = select.EPOLLHUP | select.EPOLLERR


class Handler(Protocol):
    """Who is on a line."""

    def opened(self) -> None:
        """Take note that the other end is there."""
        ...

    def heard(self, data: bytes) -> None:
        """Take what came."""
        ...

    def lost(self, kind: str) -> None:
        """Take note that the line is gone. Called once, and not after `abort` or `close`."""
        ...


class Socket:
    """One connection, made by `Transport.connect`."""

    __slots__ = ("_board", "_handler", "_is_reading", "_socket", "_unsent", "is_open")

    def __init__(self, board: "Transport", sock: socket.socket, handler: Handler) -> None:
        self._board = board
        self._socket = sock
        self._handler = handler
        self._unsent = b""
        self._is_reading = True
        self.is_open = False

    def send(self, data: bytes) -> None:
        """Send *data* when the switchboard is flushed, and what does not fit then when it does."""
        if not self._unsent:
            self._board.outbox.append(self)
        self._unsent += data

    def look(self) -> None:
        """Take what has come, however little it is."""
        data = self.receive()
        if data is not None:
            self.hear(data)

    def wake_at(self, count: int) -> None:
        """Let less than *count* bytes lie until more come, or somebody looks."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def pause_reading(self) -> None:
        """Leave what comes to the network."""
        self._is_reading = False
        self.watch()

    def resume_reading(self) -> None:
        """Take it again."""
        self._is_reading = True
        self.watch()

    def abort(self) -> None:
        """End it at once."""
        self._board.forget(self._socket)

    def close(self) -> None:
        """End it once what was sent is on its way, as far as the network takes it now."""
        with contextlib.suppress(OSError):
            self._socket.send(self._unsent)
        self._board.forget(self._socket)

    # The switchboard's side.

    def push(self) -> None:
        """Send what is not sent yet, as far as the network takes it."""
        data = self._unsent
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # Whoever is on the line hears of it when the switchboard is asked next.
            sent = len(data)
        self._unsent = data[sent:]
        if self._unsent:
            self.watch()

    def receive(self) -> bytes | None:
        """Return what has come; nothing when the line is at its end, None when nothing has."""
        try:
            return self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            self._lose("reset")
            return None

    def hear(self, data: bytes) -> None:
        """Hand over *data*, which `receive` has returned."""
        if data:
            self._handler.heard(data)
        else:
            self._lose("closed")

    def ready(self, events: int) -> None:
        """Do what *events* of epoll ask for."""
        if not self.is_open:
            self._open()
            return
        if events & select.EPOLLOUT:
            self.push()
            if not self._unsent:
                self.watch()
        if events & (select.EPOLLIN | _GONE):
            self.look()

    def _open(self) -> None:
        problem = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._lose(unreachable(OSError(problem, "")))
            return
        self.is_open = True
        self.watch()
        self._handler.opened()

    def watch(self) -> None:
        """Have epoll tell what there is to do."""
        events = select.EPOLLIN if self._is_reading else 0
        if self._unsent or not self.is_open:
            events |= select.EPOLLOUT
        self._board.watch(self._socket, events)

    def _lose(self, kind: str) -> None:
        self._board.forget(self._socket)
        self._handler.lost(kind)


class Transport:
    """Every line of a process."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._lines: dict[int, Socket] = {}
        self.outbox: list[Socket] = []
        """Who has something to send when the switchboard is flushed."""

    def close(self) -> None:
        """End every line, telling nobody."""
        for line in list(self._lines.values()):
            line.abort()
        self._epoll.close()

    def __len__(self) -> int:
        return len(self._lines)

    def connect(self, family: int, address: Any, handler: Handler) -> Socket:
        """
        Begin to connect to *address*; *handler* hears how it went.

        Raises:
            OSError: It cannot even be tried.
        """
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            problem = sock.connect_ex(address)
            if problem not in (0, errno.EINPROGRESS):
                raise OSError(problem, "connect")
        except OSError:
            sock.close()
            raise
        line = Socket(self, sock, handler)
        self._lines[sock.fileno()] = line
        self._epoll.register(sock, select.EPOLLOUT)
        return line

    def poll(self) -> int:
        """
        Carry what has come, and what can go, now; return of how many lines.

        First all that came is received, then all of it is handed over, then all answers are sent:
        doing one thing many times, a processor has it at hand.
        """
        found, lines = self._epoll.poll(0, _AT_ONCE), self._lines
        received = []
        for number, events in found:
            # One that was ready may have been ended on behalf of another.
            if (line := lines.get(number)) is None:
                continue
            if events != _DATA or not line.is_open:
                line.ready(events)
            elif (data := line.receive()) is not None:
                received.append((number, line, data))
        for number, line, data in received:
            if lines.get(number) is line:
                line.hear(data)
        self.flush()
        return len(found)

    def flush(self) -> None:
        """Send what is to be sent."""
        lines, self.outbox = self.outbox, []
        for line in lines:
            line.push()

    def watch(self, sock: socket.socket, events: int) -> None:
        """Have *events* of *sock* told; nothing of one that is gone."""
        if sock.fileno() >= 0:
            self._epoll.modify(sock, events)

    def forget(self, sock: socket.socket) -> None:
        """Close *sock*."""
        if sock.fileno() >= 0:
            del self._lines[sock.fileno()]
            sock.close()


def unreachable(exc: OSError) -> str:
    """Return the kind of a connection that never came to be."""
    return f"unreachable_{type(exc).__name__}"
