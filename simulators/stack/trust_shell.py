"""`vitalveil trust batch` as a child process: many commands of trust in one process."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from simulators.stack.errors import StackError

_TEXT: Final = "I am invented. Whatever the policy names may be measured of me, until I withdraw."
INVENTED_YES: Final = (
    "--given-by", "self", "--captured-by", "checkbox", "--locale", "en-GB", "--given-at", "now",
    "--text-sha256", hashlib.sha256(_TEXT.encode()).hexdigest(),
)  # fmt: skip
"""The arguments that record how invented people consent; trust has no default for them."""
INVENTED_BIRTH: Final = ("--born", "1980-01", "--even-if-alike")


class TrustCommandFailed(StackError):
    """Trust refused a command."""

    def __init__(self, command: str, error: str) -> None:
        super().__init__(f"trust {command}: {error}")


class TrustShell:
    """Runs commands of trust through its command line, as an operator does."""

    def __init__(self, configuration: Path, *, log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vitalveil", "trust", "batch", "--config", str(configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(os.environ),
            text=True,
            # Ctrl-C at a terminal must reach only this process, which then ends the shell.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def run(self, *arguments: str) -> dict[str, Any]:
        """
        Run one command; return its result.

        Raises:
            TrustCommandFailed: Trust refused the command, or its process has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise TrustCommandFailed(arguments[0], f"it has ended; see {self._log.name}") from None
        line = self._process.stdout.readline()
        if not line:
            raise TrustCommandFailed(arguments[0], f"it has ended; see {self._log.name}")
        reply: dict[str, Any] = json.loads(line)
        if not reply.get("ok"):
            raise TrustCommandFailed(" ".join(arguments[:2]), str(reply.get("error")))
        return reply

    def close(self) -> None:
        """Close the shell and wait for its end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> "TrustShell":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
