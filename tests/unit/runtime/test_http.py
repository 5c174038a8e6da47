"""/metrics, /livez and /readyz on a real loopback socket."""

import http.client
import logging
import socket
import struct
import threading
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.errors import ConfigError
from runtime.http import serve
from runtime.settings import HttpSettings


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body of *path*."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_metrics_are_those_of_the_registry() -> None:
    """/metrics shows exactly the metrics of the registry, at that moment."""
    registry = CollectorRegistry()
    counter = Counter("vitalveil_test_things", "Things.", registry=registry)
    with serve(HttpSettings(), registry, missing=list) as port:
        counter.inc(3)
        status, body = get(port, "/metrics")

    assert status == 200
    assert "vitalveil_test_things_total 3.0" in body
    assert "python_info" not in body


def test_alive_is_not_ready() -> None:
    """A process that waits for its broker is alive and not ready."""
    lacking = ["database", "broker"]
    with serve(HttpSettings(), CollectorRegistry(), missing=lambda: lacking) as port:
        assert get(port, "/livez") == (200, "alive\n")
        assert get(port, "/readyz") == (503, "waiting for broker, database\n")
        lacking.clear()
        assert get(port, "/readyz") == (200, "ready\n")


def test_process_whose_loop_hangs_is_not_alive() -> None:
    """A process whose event loop hangs is not alive, although its HTTP thread answers."""
    alive = [True]
    with serve(
        HttpSettings(), CollectorRegistry(), missing=list, is_alive=lambda: alive[0]
    ) as port:
        assert get(port, "/livez")[0] == 200
        alive[0] = False
        assert get(port, "/livez") == (503, "the event loop hangs\n")


class _Failing(Collector):
    def collect(self) -> Iterable[Metric]:
        """Yield an invalid value, as a faulty library would."""
        return [GaugeMetricFamily("vitalveil_test", "Test.", value="glucose 5.5")]  # type: ignore[arg-type]


def test_page_that_fails_prints_no_text(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """If the page fails, only the type of the error is logged, without text or traceback."""
    registry = CollectorRegistry()
    registry.register(_Failing())
    with serve(HttpSettings(), registry, missing=list) as port:
        assert get(port, "/metrics")[0] == 500
        assert get(port, "/livez")[0] == 200
    assert "5.5" not in "".join(capfd.readouterr())
    assert [(one.message, one.levelno) for one in caplog.records] == [
        ("page_failed", logging.ERROR)
    ]


def test_nobody_is_asked_for_our_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start does not look up the host's own name."""

    def never(*_: object) -> str:
        raise AssertionError("asked")

    monkeypatch.setattr(socket, "getfqdn", never)
    with serve(HttpSettings(host="0.0.0.0"), CollectorRegistry(), missing=list) as port:  # noqa: S104
        assert get(port, "/livez")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/readyz%00"])
def test_other_paths_are_not_found(path: str) -> None:
    """Other paths are not found."""
    with serve(HttpSettings(), CollectorRegistry(), missing=list) as port:
        assert get(port, path)[0] == 404


def test_port_that_is_taken_is_refused() -> None:
    """A port in use is refused with the setting and the remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = HttpSettings(port=taken.getsockname()[1])
        with (
            pytest.raises(ConfigError) as raised,
            serve(settings, CollectorRegistry(), missing=list),
        ):
            pass

    assert raised.value.key == "http.port"
    assert "0 for any free port" in raised.value.remedy


def test_nothing_is_left_when_it_ends() -> None:
    """After the end the port is free, and no thread remains."""
    with serve(HttpSettings(), CollectorRegistry(), missing=list) as port:
        get(port, "/livez")

    with pytest.raises(ConnectionRefusedError):
        get(port, "/livez")
    assert "http" not in {thread.name for thread in threading.enumerate()}


def test_whoever_hangs_up_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """A client that disconnects is not logged, and others are served."""
    with serve(HttpSettings(), CollectorRegistry(), missing=list) as port:
        for request in (b"GET /metr", b"\xff\xfe\r\n\r\n", b"GET /livez HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                # Closing resets the connection at once.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(request)
        assert get(port, "/livez") == (200, "alive\n")

    assert "127.0.0.1" not in "".join(capfd.readouterr())
