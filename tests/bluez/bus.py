"""A private D-Bus in place of the system's."""

import os
import socket
import subprocess
import time
from pathlib import Path

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy></busconfig>
"""


class PrivateBus:
    """
    A dbus-daemon and its address.

    Args:
        folder: A folder for this bus alone, with a short path.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bus"
        self._config = folder / "bus.conf"
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The value for DBUS_SYSTEM_BUS_ADDRESS."""
        return f"unix:path={self._path}"

    def start(self) -> None:
        """Start the daemon, and wait until it listens."""
        self._config.write_text(_CONFIG.format(path=self._path))
        self._path.unlink(missing_ok=True)
        command = ["dbus-daemon", "--config-file", str(self._config), "--nofork", "--nopidfile"]
        self._daemon = subprocess.Popen(command, env=dict(os.environ))
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, "dbus-daemon does not listen"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(self._path)) == 0

    def kill(self) -> None:
        """Kill the daemon."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None
