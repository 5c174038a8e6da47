"""The hook that has the broker read its revocation list again."""

import subprocess
from collections.abc import Sequence

from runtime.logs import Log, describe

_log = Log("trust")


def reload_broker(command: Sequence[str], *, timeout_s: float) -> str | None:
    """
    Run *command*, if there is one; return what went wrong, for an operator, or None.

    The list is on disk by then, so a broker that was not told reads it when it starts.
    """
    if not command:
        return None
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as exc:
        problem = f"certificates.reload_command did not run ({describe(exc)})"
    else:
        if done.returncode == 0:
            _log.info("broker_reloaded")
            return None
        problem = f"certificates.reload_command ended with exit code {done.returncode}"
    _log.error("broker_not_reloaded")
    return f"{problem}: have the broker read its revocation list"
