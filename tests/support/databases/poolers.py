"""
A connection pooler between a program and the server: answers clients, and lends them sessions.

It implements as much of the protocol as it needs to forward whole messages and to see when a
session is idle again (https://www.postgresql.org/docs/current/protocol-message-formats.html).
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator

import msgspec
import psycopg

_SSL_REQUEST = 80877103
_CANCEL_REQUEST = 80877102
_GSS_REQUEST = 80877104
_MADE_UP = 0x7FFF_0000
"""The process id that the pooler tells its clients, which is not that of the server."""


class Manners(msgspec.Struct, frozen=True):
    """
    How a pooler treats its clients.

    Args:
        refuses: Whether it closes a connection that sends settings at its start; otherwise it
            ignores the settings.

        shares: Whether it lends a session for one transaction; otherwise for the connection.

        newest_first: Whether it lends the session first that was returned last.
    """

    refuses: bool = True
    shares: bool = False
    newest_first: bool = True


class _Lent:
    """A session with the server, made by psycopg, whose socket the pooler then uses."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True, sslmode="disable")
        self._socket = socket.socket(fileno=os.dup(self._connection.fileno()))
        self._socket.setblocking(False)

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(sock=self._socket)

    def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(psycopg.Error):
            self._connection.close()


class Pooler:
    """
    Listens on a port of loopback while the context is open.

    Args:
        dsn: Connection string of its sessions with the server.

        manners: How it treats its clients.

        sessions: Number of sessions with the server.
    """

    def __init__(self, dsn: str, manners: Manners, *, sessions: int = 3) -> None:
        self._dsn = dsn
        self._manners = manners
        self._idle = [_Lent(dsn) for _ in range(sessions)]
        self._all = list(self._idle)
        self._serving: list[asyncio.Task[None]] = []
        self.port = 0
        self.refused = 0
        self.clients = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Pooler"]:
        """Serve while the context is open."""
        for lent in self._all:
            await lent.open()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            # The clients have disconnected, so that these tasks end by themselves.
            async with asyncio.timeout(10):
                await asyncio.gather(*self._serving)
            for lent in self._all:
                lent.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            if await self._greet(reader, writer):
                await self._lend(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read the start-up packet; return whether the client is accepted."""
        while True:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            packet = await reader.readexactly(length - 4)
            (code,) = struct.unpack("!I", packet[:4])
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            writer.write(b"N")
        if code == _CANCEL_REQUEST:
            return False
        texts = packet[4:].rstrip(b"\0").split(b"\0")
        asked = dict(zip(texts[::2], texts[1::2], strict=True))
        if self._manners.refuses and b"options" in asked:
            self.refused += 1
            fields = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            writer.write(_message(b"E", fields))
            await writer.drain()
            return False
        self.clients += 1
        writer.write(_message(b"R", struct.pack("!I", 0)))
        for name, value in ((b"client_encoding", b"UTF8"), (b"server_version", b"17.0")):
            writer.write(_message(b"S", name + b"\0" + value + b"\0"))
        writer.write(_message(b"K", struct.pack("!II", _MADE_UP + self.clients, 0)))
        writer.write(_message(b"Z", b"I"))
        await writer.drain()
        return True

    async def _lend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lent: _Lent | None = None
        try:
            while True:
                kind, body = await _read(reader)
                if kind == b"X":
                    return
                lent = lent or self._take()
                lent.writer.write(_message(kind, body))
                if kind in (b"Q", b"S"):
                    state = await _answer(lent, writer)
                    if self._manners.shares and state == b"I":
                        self._give_back(lent)
                        lent = None
        finally:
            if lent is not None:
                self._give_back(lent)

    def _take(self) -> _Lent:
        return self._idle.pop(-1 if self._manners.newest_first else 0)

    def _give_back(self, lent: _Lent) -> None:
        self._idle.append(lent)


async def _answer(lent: _Lent, writer: asyncio.StreamWriter) -> bytes:
    """Forward the server's messages until ReadyForQuery; return its transaction status."""
    while True:
        kind, body = await _read(lent.reader)
        writer.write(_message(kind, body))
        if kind == b"Z":
            await writer.drain()
            return body


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
