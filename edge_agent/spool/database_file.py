"""
The file of the spool: one SQLite database, opened, checked, and repaired when it is damaged.

WAL with synchronous=FULL: a commit survives a power cut. Deleted bytes are overwritten
(secure_delete), and a purge empties the write-ahead log too.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from edge_agent.errors import SpoolError, SpoolKeyChanged
from runtime import files

NAME: Final = "spool.db"
VERSION: Final = 3
MAX_DAMAGED: Final = 2
"""How many damaged files are kept for diagnosis."""
MarkRow = tuple[bytes, bytes | None, int]
"""Tag, owner and number."""

_SQL: Final = Path(__file__).with_name("sql")
_COMPANIONS: Final = ("", "-wal", "-shm")
_OVERWRITE_BYTES: Final = 1 << 20

_PRAGMAS: Final = (
    "PRAGMA page_size = 1024",  # Every commit writes whole pages, and what it changes is small.
    "PRAGMA auto_vacuum = INCREMENTAL",  # SQLite ignores it after the first table was created.
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -512",
)


def open_read_only(folder: Path) -> sqlite3.Connection:
    """
    Open the spool in *folder* read-only, also while an agent is running.

    Raises:
        sqlite3.Error: There is no spool, or it cannot be read.
    """
    return sqlite3.connect(f"{(folder / NAME).absolute().as_uri()}?mode=ro", uri=True)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk of *folder*."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def connect(path: Path) -> sqlite3.Connection:
    """Connect to the file at *path*, which may be empty or hold a spool."""
    with contextlib.ExitStack() as closing:
        # Transactions are explicit: the implicit ones of sqlite3 depend on the statement.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        closing.callback(connection.close)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        closing.pop_all()
    return connection


def begin(connection: sqlite3.Connection, spool_id: bytes, key_check: bytes) -> None:
    """Create the tables of a new spool."""
    # In one transaction: after a crash in between, the file is empty and is initialised again.
    connection.executescript("BEGIN IMMEDIATE;\n" + _read("spool.sql") + _read("spool_recent.sql"))
    connection.execute(
        "INSERT INTO spool (only_row, spool_id, key_check) VALUES (1, ?, ?)",
        [spool_id, key_check],
    )
    connection.execute("COMMIT")


def _read(name: str) -> str:
    return (_SQL / name).read_text(encoding="utf-8")


def _upgrade(connection: sqlite3.Connection) -> None:
    """Upgrade a file of the previous version."""
    if connection.execute("PRAGMA user_version").fetchone() == (VERSION - 1,):
        connection.executescript(
            "BEGIN IMMEDIATE; ALTER TABLE spool"
            " ADD COLUMN folded_through integer NOT NULL DEFAULT 0;" + _read("spool_recent.sql")
        )
        connection.execute("COMMIT")


def open_sound(path: Path, *, new_spool_id: bytes, key_check: bytes) -> sqlite3.Connection | None:
    """
    Return a connection to the file at *path*, initialised if empty; None if it is damaged.

    Raises:
        SpoolKeyChanged: The spool was made with another key.
        SpoolError: The spool was made by another version.
    """
    with contextlib.ExitStack() as closing:
        try:
            connection = connect(path)
            closing.callback(connection.close)
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
                begin(connection, new_spool_id, key_check)
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
            row = connection.execute("SELECT key_check FROM spool").fetchone()
            if verdict == ("ok",) and row is not None:
                _raise_if_foreign(connection, row[0], key_check)
                _upgrade(connection)
                closing.pop_all()
                return connection
        except sqlite3.OperationalError as exc:
            # Locked, disk full, no permission: the file may be sound, so it stays in its place.
            if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR):
                raise
        except sqlite3.DatabaseError:
            pass
    return None


def _raise_if_foreign(connection: sqlite3.Connection, found: bytes, key_check: bytes) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()
    if version not in ((VERSION,), (VERSION - 1,)):
        raise SpoolError(
            "be used, because another version of this software made it. Install that version, "
            "or move the spool away to start a new one"
        )
    if found != key_check:
        raise SpoolKeyChanged


def put_in_place(new: Path, path: Path) -> None:
    """Put the closed file *new* at *path*, and set the file that is there aside."""
    # From here on the copy is complete. After a crash, `settle` finishes the replacement: an old
    # file without its log could be taken for sound, and would give out sequences again.
    new.rename(_repaired(path))
    sync_folder(path.parent)
    settle(path)


def settle(path: Path) -> None:
    """Complete an interrupted replacement of *path* by its repaired copy."""
    repaired = _repaired(path)
    if not repaired.exists():
        return
    aside = [
        int(file.name.rpartition("-")[2]) for file in path.parent.glob(f"{NAME}.damaged-*[0-9]")
    ]
    number = max(aside, default=0) + 1
    for companion in reversed(_COMPANIONS):
        source = path.with_name(path.name + companion)
        if source.exists():
            source.rename(path.with_name(f"{path.name}.damaged-{number}{companion}"))
    repaired.rename(path)
    sync_folder(path.parent)
    for old in (old for old in aside if old <= number - MAX_DAMAGED):
        for companion in _COMPANIONS:
            erase(path.with_name(f"{path.name}.damaged-{old}{companion}"))


def _repaired(path: Path) -> Path:
    return path.with_name(f"{path.name}.mended")


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of *folder* to disk."""
    files.sync_folder(folder)


def erase_damaged(folder: Path) -> bool:
    """Erase the damaged files that were set aside in *folder*; return whether all are gone."""
    for file in folder.glob(f"{NAME}.damaged-*"):
        # If a file is damaged, the disk may be failing as well.
        with contextlib.suppress(OSError):
            erase(file)
    return not any(folder.glob(f"{NAME}.damaged-*"))


def erase(file: Path) -> None:
    """
    Overwrite *file* in place, as far as the disk allows, and delete it.

    Raises:
        OSError: The file could not be overwritten; it may have been deleted.
    """
    with contextlib.suppress(FileNotFoundError):
        try:
            _overwrite(file)
        finally:
            file.unlink()


def _overwrite(file: Path) -> None:
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(0)
        for start in range(0, size, _OVERWRITE_BYTES):
            opened.write(bytes(min(_OVERWRITE_BYTES, size - start)))
        opened.flush()
        os.fsync(opened.fileno())
