"""The notifications to systemd."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.service import Service


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(manager: socket.socket) -> list[bytes]:
    """Return all notifications."""
    said = []
    while True:
        try:
            said.append(manager.recv(100))
        except BlockingIOError:
            return said


def test_ready_alive_stopping(manager: socket.socket) -> None:
    """READY and STOPPING are sent once, and WATCHDOG at half the watchdog's time."""
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "2000000"}
    service = Service(environ, now=10.0)
    service.ready()
    for now in (10.5, 11.0, 11.9, 12.0):
        service.progressed(now=now)
    service.stopping()
    assert heard(manager) == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("usec", ["", "0", "x", "-1"])
def test_no_watchdog_no_word(manager: socket.socket, usec: str) -> None:
    """Without a watchdog no WATCHDOG notification is sent."""
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": usec}
    Service(environ, now=0.0).progressed(now=1e6)
    assert heard(manager) == []


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/no/such"}, {"NOTIFY_SOCKET": "@no"}])
def test_nobody_listens(environ: dict[str, str]) -> None:
    """Without a service manager, or with one that has gone, nothing happens."""
    Service(environ, now=0.0).ready()
