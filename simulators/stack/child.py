"""A child process that never outlives its parent, and whose output is written to a file."""

import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Final

from simulators.stack.errors import DidNotStart, HasEnded

_PR_SET_PDEATHSIG: Final = 1
_SERVER_PORTS: Final = range(20_000, 32_768)
"""Linux takes outgoing ports from 32768 on, other systems from 49152 (ip_local_port_range in
ip(7))."""
_ENDS_WITHIN_S: Final = 60.0
"""A killed process that waits for a disk only ends when the disk answers."""
_libc = ctypes.CDLL(None)


def _children(pid: int) -> list[int]:
    """Return the processes that *pid* started and that still run (proc_pid_task(5))."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def _runs(pid: int) -> bool:
    """Return whether the process *pid* runs, and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, Signals.SIGKILL)


def free_port() -> int:
    """
    Return a TCP port of loopback that is free at this moment.

    The port lies below those that systems give to outgoing connections, for two reasons: a server
    that was killed finds the port free when it starts again, and a client that waits for that
    server does not connect to itself.
    """
    while True:
        port = secrets.choice(_SERVER_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_listening(port: int) -> bool:
    """Tell whether a process listens on *port* of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Child:
    """
    A running child process.

    Args:
        name: The name of the child in errors.

        command: The program and its arguments.

        log: The file to which its output is appended.

        environ: Variables that are added to the environment of this process.

        user: The user id to run as, if this process is root.

        folder: The working directory; None for that of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        user: int | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            # A hook of this kind is not safe with threads in general; this one makes a single
            # system call.
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
                cwd=folder,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """
        Return as soon as *ready* returns true.

        Raises:
            DidNotStart: The child ended first, or *timeout_s* passed and the child was killed.
        """
        deadline = time.monotonic() + timeout_s
        is_waited_for = False
        try:
            while not ready():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise DidNotStart(self.name, self.log)
                time.sleep(0.02)
            is_waited_for = True
        finally:
            # Also after an interrupt: the caller does not own the child yet, so that only this
            # code can end it.
            if not is_waited_for:
                self.kill()

    def check(self) -> None:
        """
        Check that the child runs.

        Raises:
            HasEnded: The child has ended.
        """
        exit_code = self._process.poll()
        if exit_code is not None:
            raise HasEnded(self.name, exit_code, self.log)

    def send(self, number: Signals) -> None:
        """Send the child a signal, if it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, *, number: Signals = Signals.SIGTERM, timeout_s: float = 20.0) -> int | None:
        """Ask the child to end, and kill it after *timeout_s* seconds; return its exit code."""
        self.send(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """Kill the child and all processes that it started, as a power cut would."""
        # The child is stopped first, so that it starts no further process before it is killed.
        self.send(Signals.SIGSTOP)
        # Processes of PostgreSQL have sessions of their own. The checkpointer would continue to
        # write, and a new server would find its shared memory in use.
        started = _children(self._process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, Signals.SIGKILL)
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, Signals.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + _ENDS_WITHIN_S
        while any(_runs(pid) for pid in started) and time.monotonic() < deadline:
            time.sleep(0.01)
