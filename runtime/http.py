"""
HTTP: /metrics for Prometheus, /livez and /readyz for the supervisor of the process.

A separate thread serves all clients, so that a busy event loop can still be observed. A connection
costs a descriptor and a few kilobytes, never a thread. It carries one request, and has a deadline.
"""

import asyncio
import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry, make_wsgi_app

from runtime.errors import ConfigError
from runtime.logs import Log, describe
from runtime.settings import HttpSettings

_MAX_CONNECTIONS: Final = 64
"""Limit of connections. One more closes the oldest, so that a probe is always served."""
_MAX_PER_ADDRESS: Final = 16
"""Limit of connections of one address. One more closes the oldest of that address."""
_AT_ONCE: Final = 64
"""Connections accepted before the first of them is handled; each needs a descriptor."""
_BACKLOG: Final = 1024
"""Connections that wait in the kernel to be accepted; further ones try again after a second."""
_LONGEST_S: Final = 10.0
"""Time limit of a connection, from its start to the last byte of the answer."""
_LINGER_S: Final = 1.0
"""Time for a client to close after the answer: closing with unread data would reset it."""
_MAX_HEAD_BYTES: Final = 8192

_log = Log("http")
_Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line without the version, headers, and body."""


class _Head(BaseHTTPRequestHandler):
    """The head of a request, parsed by the standard library's handler, which writes nothing."""

    def __init__(self, head: bytes) -> None:
        self.rfile = io.BytesIO(head)
        self.raw_requestline = self.rfile.readline()
        self.refusal = 0
        # Set by `parse_request`, but only for a valid request.
        self.path = ""
        self.is_sound = self.parse_request()

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Keep only *code*, because the texts quote the request."""
        self.refusal = code

    def handle_expect_100(self) -> bool:
        """Send no 100 Continue, because no body is read."""
        return True


class _Pages:
    """
    The pages /metrics, /livez and /readyz.

    Args:
        registry: The metrics.

        missing: Returns the names of the parts that are not ready.

        is_alive: Returns False if the process should be restarted.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        missing: Callable[[], Iterable[str]],
        is_alive: Callable[[], bool],
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._missing = missing
        self._is_alive = is_alive

    def is_slow(self, head: _Head) -> bool:
        """Return whether the page takes long to make."""
        return head.path.partition("?")[0] == "/metrics"

    def answer(self, head: _Head) -> _Answer:
        """Return the answer to a request; never raises."""
        try:
            return self._answer(head)
        except Exception as error:  # noqa: BLE001 - after any error the next request is served
            # Only the type, because the text may hold values.
            _log.error("page_failed", error=describe(error))
            return _plain(
                "500 Internal Server Error",
                "the page could not be made; see the log of the process",
            )

    def _answer(self, head: _Head) -> _Answer:
        if not head.is_sound:
            return _plain(f"{head.refusal or 400} Refused", "the request is not valid HTTP")
        if head.command not in ("GET", "HEAD"):
            return _plain(
                "405 Method Not Allowed", "only GET and HEAD are allowed", [("Allow", "GET, HEAD")]
            )
        path, _, query = head.path.partition("?")
        if path == "/metrics":
            return self._scrape(head, query)
        page = {"/livez": self._livez, "/readyz": self._readyz}.get(path)
        if page is None:
            return _plain("404 Not Found", "the pages are /metrics, /livez and /readyz")
        return page()

    def _livez(self) -> _Answer:
        if self._is_alive():
            return _plain("200 OK", "alive")
        return _plain("503 Service Unavailable", "the event loop hangs")

    def _readyz(self) -> _Answer:
        if lacking := sorted(self._missing()):
            return _plain("503 Service Unavailable", "waiting for " + ", ".join(lacking))
        return _plain("200 OK", "ready")

    def _scrape(self, head: _Head, query: str) -> _Answer:
        told: list[Any] = []

        def start_response(*args: Any) -> None:
            told.extend(args)

        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/metrics",
            "QUERY_STRING": query,
            "HTTP_ACCEPT": head.headers.get("Accept", ""),
            "HTTP_ACCEPT_ENCODING": head.headers.get("Accept-Encoding", ""),
        }
        body = b"".join(self._metrics(environ, cast("Any", start_response)))
        return told[0], told[1], body


class _Connections:
    """The open connections, oldest first, with their limits."""

    def __init__(self) -> None:
        self._open: dict[_Connection, str] = {}

    def add(self, one: "_Connection", peer: str) -> None:
        """Add *one* of the address *peer*; at a limit, abort the oldest connection."""
        of_peer = [other for other, address in self._open.items() if address == peer]
        if len(of_peer) >= _MAX_PER_ADDRESS:
            of_peer[0].abort()
        elif len(self._open) >= _MAX_CONNECTIONS:
            next(iter(self._open)).abort()
        self._open[one] = peer

    def remove(self, one: "_Connection") -> None:
        """Remove *one* from the open connections."""
        self._open.pop(one, None)

    def close(self) -> None:
        """Abort all open connections."""
        for one in list(self._open):
            one.abort()


class _Connection(asyncio.Protocol):
    """A connection with one request and its answer."""

    _transport: asyncio.Transport

    def __init__(
        self, pages: _Pages, connections: _Connections, worker: ThreadPoolExecutor
    ) -> None:
        self._pages = pages
        self._connections = connections
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._head = bytearray()
        self._is_answered = False
        self._ending: asyncio.TimerHandle | None = None
        self._page: asyncio.Future[_Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ending = self._loop.call_later(_LONGEST_S, self.abort)
        peer = transport.get_extra_info("peername")
        self._connections.add(self, str(peer[0]) if peer else "")

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort()

    def abort(self) -> None:
        """Close at once, also before or during the answer."""
        self._connections.remove(self)
        if self._ending is not None:
            self._ending.cancel()
        if self._page is not None:
            # Cancels a page that waits to be made, for a client that is gone.
            self._page.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_answered:
            # A body or a second request, which are ignored.
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) <= _MAX_HEAD_BYTES:
            return
        self._is_answered = True
        if end < 0 or end > _MAX_HEAD_BYTES:
            self._write(
                _plain("431 Request Header Fields Too Large", "the request is too large"), "GET"
            )
            return
        head = _Head(bytes(self._head[: end + 4]))
        self._head.clear()
        if self._pages.is_slow(head):
            # In a worker thread, so that a probe need not wait for a page of many metrics.
            self._page = self._loop.run_in_executor(self._worker, self._pages.answer, head)
            self._page.add_done_callback(lambda page: self._hand_over(page, head.command))
        else:
            self._write(self._pages.answer(head), head.command)

    def _hand_over(self, page: asyncio.Future[_Answer], command: str) -> None:
        if not page.cancelled():
            self._write(page.result(), command)

    def eof_received(self) -> bool:
        """Keep the connection half open only while an answer is due."""
        return self._is_answered and not self._transport.is_closing()

    def _write(self, answer: _Answer, command: str) -> None:
        if self._transport.is_closing():
            return
        status, headers, body = answer
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        self._transport.write("\r\n".join(lines).encode("latin-1"))
        if command != "HEAD":
            self._transport.write(body)
        self._transport.write_eof()
        if not self._transport.get_write_buffer_size():
            self._linger()

    def _linger(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = self._loop.call_later(_LINGER_S, self.abort)


def _plain(status: str, text: str, more: list[tuple[str, str]] | None = None) -> _Answer:
    headers = [("Content-Type", "text/plain; charset=utf-8"), *(more or [])]
    return status, headers, f"{text}\n".encode()


@contextlib.contextmanager
def serve(
    settings: HttpSettings,
    registry: CollectorRegistry,
    *,
    missing: Callable[[], Iterable[str]],
    is_alive: Callable[[], bool] = lambda: True,
) -> Iterator[int]:
    """
    Serve the pages while the context is open; yield the port.

    Args:
        settings: Address to listen on.

        registry: The metrics.

        missing: Returns the names of the parts that are not ready; none means ready.

        is_alive: Returns False if the process should be restarted.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    try:
        # Resolved once, and bound by number: no name server is asked for this host's name.
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = sorted(found, key=lambda one: one[0] != socket.AF_INET)[0]
        listening = socket.create_server(address[:2], family=family)
    except OSError as exc:
        raise ConfigError(
            key="http.port",
            source="settings",
            problem=f"the address cannot be listened on ({exc.strerror})",
            remedy="Choose a free port, or 0 for any free port.",
        ) from None
    pages = _Pages(registry, missing, is_alive)
    # A loop of its own, of the standard library: it must work while the program's loop hangs.
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(_log_exception)
    stop = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_serve(listening, pages, stop)),
        name="http",
        daemon=True,
    )
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _serve(listening: socket.socket, pages: _Pages, stop: asyncio.Event) -> None:
    connections = _Connections()
    with ThreadPoolExecutor(1, thread_name_prefix="http-page") as worker:
        # If descriptors are exhausted, asyncio waits for a second before it accepts again.
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(pages, connections, worker), sock=listening, backlog=_AT_ONCE
        )
        # asyncio uses its `backlog` for both limits.
        listening.listen(_BACKLOG)
        await stop.wait()
        # asyncio makes each accepted connection in a task of its own. A server that is closed
        # before these tasks end would leave their sockets open.
        asyncio.get_running_loop().remove_reader(listening)
        accepting = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*accepting, return_exceptions=True)
        server.close()
        connections.close()
        await server.wait_closed()


def _log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log the type of an exception; asyncio would print the client's address."""
    error = context.get("exception")
    _log.debug("request_failed", error=describe(error) if error is not None else None)
