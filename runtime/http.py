"""
/metrics for Prometheus, /livez and /readyz for whoever restarts processes.

Served from a thread of its own, so that a busy event loop is still observed.
"""

import contextlib
import io
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from runtime.errors import ConfigError
from runtime.logs import Log, describe
from runtime.settings import HttpSettings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


_log = Log("http")


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind, and ask nobody for our name: where no name server answers that takes minutes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a request; the library would print who asked."""
        error = sys.exception()
        _log.debug("request_failed", error=describe(error) if error is not None else None)


class _Errors(io.TextIOBase):
    """Where the library prints the traceback of a page that failed: only its type is logged."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        error = sys.exception()
        if error is not None:
            _log.error("page_failed", error=describe(error))


class _QuietHandler(WSGIRequestHandler):
    timeout = 10
    """Seconds: whoever connects and says nothing does not hold a thread for ever."""

    def get_stderr(self) -> io.TextIOBase:
        """Return what takes a traceback, whose texts may hold anything, and writes none."""
        return _Errors()

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: a request line says who asks, and nobody needs it."""


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

        is_alive: Whether it would be in vain to wait for it, and better to start it anew.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    metrics = make_wsgi_app(registry)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            body: Iterable[bytes] = metrics(environ, start_response)
            return body
        if path == "/livez":
            if not is_alive():
                return _say(start_response, "503 Service Unavailable", "the loop hangs")
            return _say(start_response, "200 OK", "alive")
        if path == "/readyz":
            lacking = sorted(missing())
            if lacking:
                return _say(
                    start_response, "503 Service Unavailable", "waiting for " + ", ".join(lacking)
                )
            return _say(start_response, "200 OK", "ready")
        return _say(start_response, "404 Not Found", "there are /metrics, /livez and /readyz")

    try:
        server = make_server(
            settings.host, settings.port, app, server_class=_Server, handler_class=_QuietHandler
        )
    except OSError as exc:
        raise ConfigError(
            key="http.port",
            source="settings",
            problem=f"cannot listen there ({exc.strerror})",
            mend="Choose a free port, or 0 to have one picked.",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _say(start_response: "StartResponse", status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
