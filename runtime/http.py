"""
/metrics for Prometheus, /livez and /readyz for whatever restarts processes.

Served from a thread of its own, so that a busy event loop is still observed. That thread serves
every client: a connection costs a descriptor and a few kilobytes, never a thread. There is one
request for a connection, and a deadline for all of it.
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

_MOST: Final = 64
"""How many connections there are at once. One more closes the oldest: a probe comes through."""
_MOST_OF_ONE: Final = 16
"""How many of them one address has. One more closes the oldest of its own."""
_AT_ONCE: Final = 64
"""How many are accepted before the first of them is looked at: so many descriptors more."""
_BACKLOG: Final = 1024
"""How many wait to be accepted, in the kernel: it lets the next one wait for a second."""
_LONGEST_S: Final = 10.0
"""How long a connection lasts, from its first byte to the last of the answer."""
_LINGER_S: Final = 1.0
"""How long an answered client may take to close its side: data unread would reset the answer."""
_MAX_HEAD_BYTES: Final = 8192

_log = Log("http")
_Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status with its reason, headers, body."""


class _Head(BaseHTTPRequestHandler):
    """The head of a request, read by the parser of the standard library, which writes nothing."""

    def __init__(self, head: bytes) -> None:
        self.rfile = io.BytesIO(head)
        self.raw_requestline = self.rfile.readline()
        self.refusal = 0
        # No path is in it before it was found to be one.
        self.path = ""
        self.is_sound = self.parse_request()

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Keep *code* alone: the texts quote what was sent."""
        self.refusal = code

    def handle_expect_100(self) -> bool:
        """Promise nothing: no body is read here."""
        return True


class _Pages:
    """
    What is served.

    Args:
        registry: What /metrics shows.

        missing: What the process still lacks to be ready.

        is_alive: Whether waiting for it makes sense.
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
        """Tell whether the answer takes longer than a look at a variable."""
        return head.path.partition("?")[0] == "/metrics"

    def answer(self, head: _Head) -> _Answer:
        """Return the answer to a request; never raises."""
        try:
            return self._answer(head)
        except Exception as error:  # noqa: BLE001 - whatever a page raises, the next is served
            # Only its type: its texts may hold anything.
            _log.error("page_failed", error=describe(error))
            return _say("500 Internal Server Error", "this page failed; the log says more")

    def _answer(self, head: _Head) -> _Answer:
        if not head.is_sound:
            return _say(f"{head.refusal or 400} Refused", "not a request that is understood here")
        if head.command not in ("GET", "HEAD"):
            return _say("405 Method Not Allowed", "only GET and HEAD", [("Allow", "GET, HEAD")])
        path, _, query = head.path.partition("?")
        if path == "/metrics":
            return self._scrape(head, query)
        page = {"/livez": self._livez, "/readyz": self._readyz}.get(path)
        if page is None:
            return _say("404 Not Found", "there are /metrics, /livez and /readyz")
        return page()

    def _livez(self) -> _Answer:
        if self._is_alive():
            return _say("200 OK", "alive")
        return _say("503 Service Unavailable", "the loop hangs")

    def _readyz(self) -> _Answer:
        if lacking := sorted(self._missing()):
            return _say("503 Service Unavailable", "waiting for " + ", ".join(lacking))
        return _say("200 OK", "ready")

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
    """The connections that there are, oldest first, and how many each address has."""

    def __init__(self) -> None:
        self._open: dict[_Connection, str] = {}

    def add(self, one: "_Connection", peer: str) -> None:
        """Take *one* of *peer*; abort another where there is no room."""
        of_peer = [other for other, address in self._open.items() if address == peer]
        if len(of_peer) >= _MOST_OF_ONE:
            of_peer[0].abort()
        elif len(self._open) >= _MOST:
            next(iter(self._open)).abort()
        self._open[one] = peer

    def remove(self, one: "_Connection") -> None:
        """Forget *one*."""
        self._open.pop(one, None)

    def close(self) -> None:
        """Abort all that there are."""
        for one in list(self._open):
            one.abort()


class _Connection(asyncio.Protocol):
    """One request and its answer."""

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
        """Close at once, whatever is under way."""
        self._connections.remove(self)
        if self._ending is not None:
            self._ending.cancel()
        if self._page is not None:
            # Unless it is being made: a page for someone who is gone is not.
            self._page.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_answered:
            # A body, or a second request: neither is read here.
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) <= _MAX_HEAD_BYTES:
            return
        self._is_answered = True
        if end < 0 or end > _MAX_HEAD_BYTES:
            self._write(_say("431 Request Header Fields Too Large", "too large a request"), "GET")
            return
        head = _Head(bytes(self._head[: end + 4]))
        self._head.clear()
        if self._pages.is_slow(head):
            # In another thread, so that a probe does not wait for a page of many metrics.
            self._page = self._loop.run_in_executor(self._worker, self._pages.answer, head)
            self._page.add_done_callback(lambda page: self._hand_over(page, head.command))
        else:
            self._write(self._pages.answer(head), head.command)

    def _hand_over(self, page: asyncio.Future[_Answer], command: str) -> None:
        if not page.cancelled():
            self._write(page.result(), command)

    def eof_received(self) -> bool:
        """Keep our side open only for an answer that is owed."""
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


def _say(status: str, text: str, more: list[tuple[str, str]] | None = None) -> _Answer:
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
    Serve while the context is open; yield the port.

    Args:
        settings: Where to listen.

        registry: What /metrics shows.

        missing: What the process still lacks to be ready, as names; none means ready.

        is_alive: Whether waiting for the process makes sense; if not it should be restarted.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    try:
        # Once, and by its number alone: no name server is asked who we are.
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = sorted(found, key=lambda one: one[0] != socket.AF_INET)[0]
        listening = socket.create_server(address[:2], family=family)
    except OSError as exc:
        raise ConfigError(
            key="http.port",
            source="settings",
            problem=f"cannot listen there ({exc.strerror})",
            mend="Choose a free port, or 0 to have one picked.",
        ) from None
    pages = _Pages(registry, missing, is_alive)
    # Not the loop of the program, nor of its kind.
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(_note)
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
        # Where descriptors are exhausted, the library waits for a second before it accepts again.
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(pages, connections, worker), sock=listening, backlog=_AT_ONCE
        )
        # The library takes one number for both.
        listening.listen(_BACKLOG)
        await stop.wait()
        server.close()
        connections.close()
        await server.wait_closed()


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log the type of what went wrong; the library would print who asked."""
    error = context.get("exception")
    _log.debug("request_failed", error=describe(error) if error is not None else None)
