"""The operator's command that makes the broker read its revocation list again."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from runtime.logs import Log, describe

_log = Log("trust")


def reload_broker(command: Sequence[str], *, timeout_s: float) -> str | None:
    """
    Run *command*, if one is set; return None, or the fault as a text for the operator.

    The list is on disk already, so a broker that was not notified reads it at its next start.
    """
    if not command:
        return None
    try:
        code = _run(command, timeout_s=timeout_s)
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        problem = f"certificates.reload_command did not run to its end ({describe(exc)})"
    else:
        if code == 0:
            _log.info("broker_reloaded")
            return None
        problem = f"certificates.reload_command ended with exit code {code}"
    _log.error("broker_not_reloaded")
    return f"{problem}: have the broker read its revocation list"


def _run(command: Sequence[str], *, timeout_s: float) -> int:
    # There is no pipe: a background process of the command would keep a pipe open, and trust
    # waiting. The command has its own session, so that its child processes end with it.
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
