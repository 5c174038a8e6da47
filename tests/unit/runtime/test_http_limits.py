"""The HTTP port under slow, many and invalid clients."""

import contextlib
import gc
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from runtime import http as served
from runtime.http import serve
from runtime.settings import HttpSettings


@pytest.fixture
def port() -> Iterator[int]:
    """Serve a registry whose page is larger than the buffers of a connection."""
    registry = CollectorRegistry()
    gauge = Gauge("vitalveil_test_wide", "Wide.", ["n"], registry=registry)
    for n in range(6_000):
        gauge.labels(f"{n:0400d}").set(n)
    with serve(HttpSettings(), registry, missing=list) as found:
        yield found


@contextlib.contextmanager
def clients(port: int, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """Hold connections that have sent *said* and then send nothing."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            with contextlib.suppress(OSError):
                one.sendall(said)
            held.append(one)
        yield held


def ask(port: int, path: str = "/livez", timeout_s: float = 5) -> tuple[int, bytes]:
    """Return status and body of *path*."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


def said(port: int, request: bytes) -> bytes:
    """Return the complete answer to *request*."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.sendall(request)
        answer = b""
        while part := one.recv(65536):
            answer += part
        return answer


def descriptors() -> int:
    """Return the number of open descriptors of this process, which has both server and clients."""
    return len(list(Path("/proc/self/fd").iterdir()))


def falls_to(count: int) -> None:
    """Wait until at most *count* descriptors are open."""
    deadline = time.monotonic() + 10
    while descriptors() > count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /livez HT", id="half a line"),
        pytest.param(b"GET /livez HTTP/1.1\r\nA: b\r\n", id="a header without an end"),
        pytest.param(
            b"POST /livez HTTP/1.1\r\nContent-Length: 99\r\n\r\nx", id="a body without one"
        ),
        pytest.param(b"GET /metrics HTTP/1.1\r\n\r\n", id="an answer that is not read"),
        pytest.param(b"GET /livez HTTP/1.1\r\n\r\n" * 3, id="pipelined"),
    ],
)
def test_slow_clients_hold_a_bounded_number_of_descriptors_and_no_thread(
    port: int, start: bytes
) -> None:
    """Among 300 slow clients a probe is answered at once, and they use as much as 16."""
    before, threads = descriptors(), threading.active_count()
    with clients(port, 300, start):
        began = time.monotonic()
        assert ask(port) == (200, b"alive\n")
        assert time.monotonic() - began < 2
        # The server's, the client's, and the one that was just answered.
        assert descriptors() - before <= 300 + served._MAX_PER_ADDRESS + 1
        assert threading.active_count() <= threads + 1


def still_takes(one: socket.socket, part: bytes, *, for_s: float) -> bool:
    """Tell whether *one* stays open while *part* is sent from time to time."""
    until = time.monotonic() + for_s
    one.settimeout(0.02)
    while time.monotonic() < until:
        try:
            one.sendall(part)
            if not one.recv(4096):
                return False
        except TimeoutError:
            continue
        except OSError:
            return False
    return True


def test_whole_request_has_one_deadline(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole request has one deadline, which single bytes do not extend."""
    monkeypatch.setattr(served, "_LONGEST_S", 0.3)
    with clients(port, 1, b"GET /livez HTTP/1.1\r\n") as (one,):
        assert still_takes(one, b"X: y\r\n", for_s=0.1)
        assert not still_takes(one, b"X: y\r\n", for_s=5)


def test_slow_reader_has_the_same_deadline(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not read its answer has the same deadline."""
    monkeypatch.setattr(served, "_LONGEST_S", 1.0)
    before = descriptors()
    with clients(port, 3, b"GET /metrics HTTP/1.1\r\n\r\n") as held:
        # Wait until they are accepted, because before that they use no descriptor of the server.
        assert all(one.recv(1) for one in held)
        falls_to(before + 3)


def test_clients_that_come_with_the_end_are_closed() -> None:
    """A connection that is accepted while the server stops is closed by the server."""
    is_asked, may_answer = threading.Event(), threading.Event()

    def missing() -> list[str]:
        # Runs in the server's thread, which accepts no connection meanwhile.
        is_asked.set()
        may_answer.wait(10)
        return []

    with contextlib.ExitStack() as serving:
        port = serving.enter_context(serve(HttpSettings(), CollectorRegistry(), missing=missing))
        with clients(port, 1, b"GET /readyz HTTP/1.1\r\n\r\n"):
            assert is_asked.wait(10)
            with clients(port, 3):
                ending = threading.Thread(target=serving.close)
                ending.start()
                time.sleep(0.05)
                may_answer.set()
                ending.join(10)
    # A socket that is not closed gives a warning here, which fails this test.
    gc.collect()


def test_answered_client_that_stays_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answered client is disconnected: there are no kept connections."""
    monkeypatch.setattr(served, "_LINGER_S", 0.1)
    request = b"GET /livez HTTP/1.1\r\nConnection: keep-alive\r\n\r\n"
    before = descriptors()
    with clients(port, 1, request) as (one,):
        answer = b"".join(iter(lambda: one.recv(4096), b""))
        assert b"Connection: close" in answer
        falls_to(before + 1)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(
            b"GET /livez HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431, id="long header"
        ),
        pytest.param(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 431, id="long line"),
        pytest.param(
            b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431, id="many headers"
        ),
        pytest.param(b"POST /livez HTTP/1.1\r\n\r\n", 405, id="method"),
        pytest.param(b"GET\r\n\r\n", 400, id="no path"),
        pytest.param(b"GET /livez HTTP/9.9.9\r\n\r\n", 400, id="no version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET /\xff\xfe\x00 HTTP/1.1\r\n\r\n", 404, id="no text"),
        pytest.param(b"\r\n\r\n", 400, id="empty lines"),
    ],
)
def test_what_is_no_request_gets_an_answer_that_quotes_nothing(
    port: int, request_: bytes, status: int
) -> None:
    """Each invalid request gets its status and no quotation, and others are served."""
    answer = said(port, request_)
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"aaaa" not in answer
    assert ask(port)[0] == 200


def test_only_the_first_of_pipelined_requests_is_answered(port: int) -> None:
    """Only the first of several pipelined requests is answered."""
    answer = said(port, b"GET /livez HTTP/1.1\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.endswith(b"alive\n")


def test_client_that_closed_its_side_gets_its_answer(port: int) -> None:
    """A client that closed its sending side gets its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        one.shutdown(socket.SHUT_WR)
        answer = b""
        while part := one.recv(1 << 20):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\n")
    assert b"5999" in answer


def test_head_has_no_body(port: int) -> None:
    """HEAD gets the headers of GET, and no body."""
    answer = said(port, b"HEAD /livez HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


def test_quick_clients_by_the_thousand_leave_nothing(port: int) -> None:
    """Thousands of short connections leave no descriptor or thread."""
    before = descriptors()
    for _ in range(3_000):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    assert ask(port)[0] == 200
    falls_to(before)


_STARVED = """
import resource, socket, sys, time
from prometheus_client import CollectorRegistry
from runtime.http import serve
from runtime.settings import HttpSettings

with serve(HttpSettings(), CollectorRegistry(), missing=list) as port:
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET /livez HTTP/1.1\\r\\n\\r\\n")
    assert client.recv(99).startswith(b"HTTP/1.1 200")
    client.close()
    time.sleep(0.3)
    waiting = socket.socket()
    lowest = open("/dev/null").fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, lowest + 50))
    waiting.connect(("127.0.0.1", port))
    began = time.process_time()
    time.sleep(1.5)
    spent = time.process_time() - began
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 50, lowest + 50))
    waiting.settimeout(5)
    waiting.sendall(b"GET /livez HTTP/1.1\\r\\n\\r\\n")
    assert waiting.recv(99).startswith(b"HTTP/1.1 200")
    print(spent)
"""


def test_no_descriptor_left_costs_no_processor() -> None:
    """
    Without a free descriptor accept() is tried again every second, not in a busy loop, and waiting
    clients are served afterwards.
    """
    done = subprocess.run(
        [sys.executable, "-c", _STARVED], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout) < 0.5


def test_many_addresses_have_one_limit_together() -> None:
    """All addresses share one limit: one more connection closes the oldest, and is served."""
    before = descriptors()
    with serve(HttpSettings(), CollectorRegistry(), missing=list) as port, ExitStack() as stack:
        for n in range(150):
            one = stack.enter_context(socket.socket())
            one.bind((f"127.0.0.{2 + n % 30}", 0))
            one.connect(("127.0.0.1", port))
        assert ask(port)[0] == 200
        assert descriptors() - before <= 150 + served._MAX_CONNECTIONS + 10


class _Counting(Collector):
    """A page that takes as long as the test says."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = threading.Event()

    def describe(self) -> Iterable[Metric]:
        """Return no metric."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return no metric, after a pause."""
        self.begun += 1
        self.go_on.wait(10)
        return []


def test_pages_are_made_for_those_who_are_there() -> None:
    """Pages are rendered only for connected clients: 200 abandoned scrapes delay no probe."""
    registry, pages = CollectorRegistry(), _Counting()
    registry.register(pages)
    with serve(HttpSettings(), registry, missing=list) as port:
        with clients(port, 200, b"GET /metrics HTTP/1.1\r\n\r\n"):
            assert ask(port) == (200, b"alive\n")
            pages.go_on.set()
        assert ask(port, "/metrics")[0] == 200
    assert pages.begun <= served._MAX_PER_ADDRESS + 4
