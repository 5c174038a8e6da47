"""
The spool's file: one SQLite database, opened, checked, and set aside when it is damaged.

WAL with synchronous=FULL: a commit survives a power cut. Deleted bytes are overwritten
(secure_delete), and a purge empties the write-ahead log too.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.errors import SpoolError, SpoolKeyChanged

NAME: Final = "spool.db"
_COMPANIONS: Final = ("", "-wal", "-shm")

_PRAGMAS: Final = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # Before the first table, or it is ignored.
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -2048",
)


MarkRow = tuple[bytes, bytes | None, int]
"""Tag, owner and number."""


class Opened(msgspec.Struct):
    """A connection, and what became of the file that was there."""

    connection: sqlite3.Connection
    was_damaged: bool = False


def open_file(folder: Path, *, new_spool_id: bytes, key_check: bytes) -> Opened:
    """
    Open the spool in *folder*, or begin one.

    A damaged file is set aside, not deleted, and a new spool begun with the marks that could
    still be read, so that stored records are not taken a second time.

    Args:
        folder: The agent's private folder; made if missing.

        new_spool_id: Random, for a spool that is begun.

        key_check: What tells the key of the tags.

    Raises:
        SpoolKeyChanged: The spool was begun with another key.
        SpoolError: The folder cannot be used.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        connection = _open_sound(path, new_spool_id, key_check)
        if connection is not None:
            return Opened(connection)
        marks = _salvage_marks(path, key_check)
        _set_aside(path)
        path.touch(mode=0o600)
        connection = _connect(path)
        _begin(connection, new_spool_id, key_check, marks)
    except (OSError, sqlite3.Error) as exc:
        raise SpoolError(f"be opened ({type(exc).__name__})") from None
    return Opened(connection, was_damaged=True)


def open_read_only(folder: Path) -> sqlite3.Connection:
    """
    Open the spool in *folder* to look at it, beside an agent that may be running.

    Raises:
        sqlite3.Error: There is none, or it is not readable.
    """
    return sqlite3.connect(f"{(folder / NAME).absolute().as_uri()}?mode=ro", uri=True)


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are begun by hand: the module's own rules about them differ by statement.
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def _begin(
    connection: sqlite3.Connection,
    spool_id: bytes,
    key_check: bytes,
    marks: Sequence[MarkRow] = (),
) -> None:
    schema = resources.files("edge_agent").joinpath("sql/spool.sql").read_text(encoding="utf-8")
    # One transaction: a file that a kill left half begun is empty, and is begun again.
    connection.executescript(f"BEGIN IMMEDIATE;\n{schema}")
    connection.execute(
        "INSERT INTO spool (only_row, spool_id, key_check) VALUES (1, ?, ?)",
        [spool_id, key_check],
    )
    connection.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", marks)
    connection.execute("COMMIT")


def _open_sound(path: Path, new_spool_id: bytes, key_check: bytes) -> sqlite3.Connection | None:
    """Return a connection to the file at *path*, begun if empty; None when it is damaged."""
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path)
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            _begin(connection, new_spool_id, key_check)
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
        row = connection.execute("SELECT key_check FROM spool").fetchone()
        if verdict == ("ok",) and row is not None:
            if row[0] != key_check:
                connection.close()
                raise SpoolKeyChanged
            return connection
    except sqlite3.OperationalError as exc:
        # Locked, no room, not permitted: the file may well be sound, so it stays where it is.
        if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR):
            raise
    except sqlite3.DatabaseError:
        pass
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
    return None


def _salvage_marks(path: Path, key_check: bytes) -> list[MarkRow]:
    """Return the marks that a damaged file still yields, if it was ours."""
    rows: list[object] = []
    with contextlib.suppress(sqlite3.Error, OverflowError):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            row = connection.execute("SELECT key_check FROM spool").fetchone()
            if row == (key_check,):
                rows.extend(connection.execute("SELECT tag, owner, number FROM marks"))
        finally:
            connection.close()
    marks = []
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            marks.append(msgspec.convert(row, MarkRow))
    return marks


def _set_aside(path: Path) -> None:
    number = 1
    while path.with_name(f"{path.name}.damaged-{number}").exists():
        number += 1
    for companion in _COMPANIONS:
        source = path.with_name(path.name + companion)
        if source.exists():
            source.rename(path.with_name(f"{path.name}.damaged-{number}{companion}"))
