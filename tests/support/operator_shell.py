"""An operator who runs the commands of a documentation page on the machine of a system."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from runtime import files
from simulators.stack.postgres import Postgres
from simulators.stack.system import System

ROOT: Final = Path(__file__).parents[2]
_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION: Final = re.compile(r"^## ", re.MULTILINE)
_SERVICE: Final = re.compile(r"^systemctl (\w+) (.+)$\n?", re.MULTILINE)
_RESTORE: Final = ROOT / "docs/howto/restore-a-backup.md"
Service = Callable[[str], object]
"""Starts, stops or restarts a service."""


def commands(page: Path, section: str) -> list[str]:
    """Return the blocks of commands in the section of *page* whose title begins with *section*."""
    text = next(s for s in _SECTION.split(page.read_text()) if s.startswith(section))
    return _BLOCK.findall(text)


def after_a_restore() -> list[str]:
    """Return the blocks of the steps that follow the restore of databases."""
    text = _RESTORE.read_text()
    return [
        block for block in commands(_RESTORE, "Restore") if text.index(block) > text.index("**3. ")
    ]


class Operator:
    """
    Runs the commands of a page on the machine of *whole*.

    Args:
        whole: The system.

        folder: The working directory.

        services: The effect of `systemctl` on each service; it has none on other services, which
            the test starts and stops.

        places: Replacements for paths and names that the page uses.
    """

    def __init__(
        self,
        whole: System,
        folder: Path,
        *,
        services: Mapping[str, Service] | None = None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self._whole = whole
        self._folder = folder
        self._services = services or {}
        self.places = dict(places or {})
        (folder / "bin").mkdir()
        program = folder / "bin" / "vitalveil"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m vitalveil "$@"\n')
        program.chmod(0o755)

    @property
    def _server(self) -> Postgres:
        server = self._whole.databases.server
        assert server is not None
        return server

    def type(self, script: str) -> str:
        """Run *script*; every command in it must succeed. Return the output."""
        (self._folder / "postgres.password").touch(mode=0o600)
        files.write(self._folder / "postgres.password", self._server.password.encode())
        for role in ("vv_ingest", "vv_trust"):
            shutil.copy(self._whole.databases.password_file(role), self._folder)
        return self._type(script, user=None, folder=self._folder)

    def type_at_the_server(self, script: str) -> str:
        """Run *script* as the user that owns the server's files."""
        user = self._server.folder.stat().st_uid if os.geteuid() == 0 else None
        return self._type(script, user=user, folder=self._server.folder)

    def _type(self, script: str, *, user: int | None, folder: Path) -> str:
        for written, here in {
            **self.places,
            "host=database": f"host=127.0.0.1 port={self._server.port}",
            "/etc/vitalveil": str(self._whole.folder),
        }.items():
            script = script.replace(written, here)
        said = []
        # Matches: text, action, services, text, and so on.
        for place, part in enumerate(parts := _SERVICE.split(script)):
            if place % 3 == 0 and part.strip():
                said.append(self._run(part, user=user, folder=folder))
            elif place % 3 == 2:
                for name in part.split():
                    self._services.get(name, _leave)(parts[place - 1])
        return "".join(said)

    def _run(self, script: str, *, user: int | None, folder: Path) -> str:
        server = self._server
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True, text=True, check=False, cwd=folder,
            user=user, group=user, extra_groups=[] if user is not None else None,
            env={
                "PATH": f"{self._folder / 'bin'}:{server.programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT), "PGHOST": "127.0.0.1", "PGPORT": str(server.port),
                "PGUSER": "postgres", "PGPASSWORD": server.password,
            },
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _leave(what: str) -> None:
    """Do nothing, because the test starts and stops this service."""
