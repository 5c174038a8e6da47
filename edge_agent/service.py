"""
Notifications to systemd (sd_notify(3)): ready, alive, stopping. Without systemd, nothing is sent.

The watchdog is fed only by the measuring loop, not by a timer, so that systemd restarts an agent
whose loop hangs.
"""

import contextlib
import socket
from collections.abc import Mapping


class Service:
    """
    The service manager.

    Args:
        environ: The environment of this process.

        now: In seconds of a monotonic clock.
    """

    def __init__(self, environ: Mapping[str, str], *, now: float) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract socket is written with @, and its address begins with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = _watchdog_s(environ) / 2
        self._said_at = now

    def ready(self) -> None:
        """Report that the agent has started."""
        self._tell("READY=1")

    def reloading(self, *, now: float) -> None:
        """Tell the service manager that the settings are being read again, until `ready`."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(now * 1_000_000)}")

    def stopping(self) -> None:
        """Report that the agent is stopping."""
        self._tell("STOPPING=1")

    def progressed(self, *, now: float) -> None:
        """Feed the watchdog, as often as systemd has asked for."""
        if self._every_s and now - self._said_at >= self._every_s:
            self._said_at = now
            self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # A failed notification must not stop the measuring.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify,
        ):
            notify.settimeout(1.0)
            notify.sendto(message.encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Return how often to feed the watchdog, in seconds; 0 for never."""
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isascii() and text.isdecimal() else 0.0
