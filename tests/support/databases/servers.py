"""Database servers with an archive, base backups, point-in-time recovery, and standbys."""

import datetime as dt
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

import psycopg

from simulators.stack.postgres import Postgres

_HAS_REPLAYED: Final = """
SELECT coalesce(bool_or(replay_lsn >= %s::text::pg_lsn), false) FROM pg_stat_replication
"""
_ARCHIVE: Final = {
    "archive_mode": "on",
    "archive_command": 'test ! -f "{archive}/%f" && cp "%p" "{archive}/%f"',
}


def run(server: Postgres, program: str, *arguments: str) -> str:
    """Run one of the server's *programs* as the owner of its files; return the output."""
    assert server.programs is not None
    user = server.folder.stat().st_uid if os.geteuid() == 0 else None
    done = subprocess.run(
        [str(server.programs / program), *arguments],
        capture_output=True, text=True, check=False, user=user, group=user,
        extra_groups=[] if user is not None else None, cwd=server.folder,
        env={**os.environ, "PGPASSWORD": server.password},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def own(path: Path, server: Postgres) -> Path:
    """Create the folder *path* if it is missing, owned by the user of *server*."""
    path.mkdir(exist_ok=True)
    shutil.chown(path, user=server.folder.stat().st_uid)
    return path


def ask(server: Postgres, query: str, *arguments: object) -> object:
    """Return the one value of *query*, as the superuser."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute(query.encode(), arguments or None).fetchone()
        return None if row is None else row[0]


def alter(server: Postgres, **settings: str) -> None:
    """Write *settings* into the configuration; they apply from the next start or reload on."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for name, value in settings.items():
            quoted = value.replace("'", "''")
            connection.execute(f"ALTER SYSTEM SET {name} = '{quoted}'".encode())
        connection.execute("SELECT pg_reload_conf()")


def keep_archive(server: Postgres, archive: Path) -> None:
    """Make *server* archive its WAL into *archive* from now on, with a restart."""
    own(archive, server)
    alter(server, **{name: value.format(archive=archive) for name, value in _ARCHIVE.items()})
    server.stop()
    server.start()


def copy(server: Postgres, folder: Path, *more: str) -> Postgres:
    """Return a server in *folder*, not started, with a base backup of *server*."""
    own(folder, server)
    where = ("--host", "127.0.0.1", "--port", str(server.port), "--username", "postgres")
    run(server, "pg_basebackup", *where, "--checkpoint", "fast", "--pgdata",
        str(folder / "data"), *more)  # fmt: skip
    return Postgres(folder, programs=server.programs, password=server.password)


def recover(server: Postgres, archive: Path, moment: dt.datetime) -> None:
    """Recover *server*, a copy, to *moment*; return when it accepts writes."""
    settings = server.data / "postgresql.auto.conf"
    with settings.open("a") as file:
        file.write(
            f'restore_command = \'cp "{archive}/%f" "%p"\'\n'
            f"recovery_target_time = '{moment.isoformat()}'\n"
            "recovery_target_action = promote\n"
            "archive_mode = off\n"
        )
    (server.data / "recovery.signal").touch()
    server.start()
    wait_until_writable(server)


def promote(server: Postgres) -> None:
    """Promote a standby to the primary."""
    assert ask(server, "SELECT pg_promote()") is True
    wait_until_writable(server)


def archived(server: Postgres) -> None:
    """Wait until all WAL written so far is in the archive."""
    segment = ask(server, "SELECT pg_walfile_name(pg_switch_wal())")
    deadline = time.monotonic() + 60
    while str(ask(server, "SELECT last_archived_wal FROM pg_stat_archiver")) < str(segment):
        assert time.monotonic() < deadline, "nothing is archived"
        time.sleep(0.05)


def caught_up(server: Postgres) -> None:
    """Wait until a standby of *server* has replayed all WAL written so far."""
    here = ask(server, "SELECT pg_current_wal_flush_lsn()::text")
    deadline = time.monotonic() + 60
    while not ask(server, _HAS_REPLAYED, here):
        assert time.monotonic() < deadline, "the standby does not follow"
        time.sleep(0.05)


def wait_until_writable(server: Postgres) -> None:
    """Wait until *server* has left recovery."""
    deadline = time.monotonic() + 60
    while ask(server, "SELECT pg_is_in_recovery()"):
        assert time.monotonic() < deadline, "it stays a copy"
        time.sleep(0.05)


def until(server: Postgres, query: str) -> None:
    """Wait until *query* returns true."""
    deadline = time.monotonic() + 60
    while ask(server, query) is not True:
        assert time.monotonic() < deadline, query
        time.sleep(0.02)
