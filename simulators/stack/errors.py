"""
Errors of the servers around the system.

* StackError            (this machine: report the error and exit)
    * NotInstalled
    * DidNotStart
    * HasEnded
"""

from pathlib import Path


class StackError(Exception):
    """A server that the system needs cannot be started."""


class NotInstalled(StackError):
    """A program is not installed on this machine."""

    def __init__(self, program: str, remedy: str) -> None:
        super().__init__(f"{program} is not installed. {remedy}")


class DidNotStart(StackError):
    """A child process ended, or did not answer, before it was ready."""

    def __init__(self, name: str, log: Path) -> None:
        super().__init__(f"{name} did not start; its log ends: {_end_of(log)}")
        self.log = log


class HasEnded(StackError):
    """A child process that was needed ended by itself."""

    def __init__(self, name: str, exit_code: int, log: Path) -> None:
        super().__init__(f"{name} has ended ({exit_code}); its log ends: {_end_of(log)}")


def _end_of(log: Path) -> str:
    # Logs hold nothing personal, so that their end may be shown.
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " / ".join(lines[-3:])
