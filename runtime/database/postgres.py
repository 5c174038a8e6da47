"""
Connections to PostgreSQL: the only module that makes them, for all programs.

A connection is returned only if its session has all settings that the programs' statements need
(`runtime.database.session_settings`). No text of the server or the driver is passed on, because it
may quote a row or name a host.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from runtime import files
from runtime.causes.cause import Cause
from runtime.causes.postgres import of_database
from runtime.database.session_settings import (
    CATALOG_ONLY,
    MEANING,
    WITH_PUBLIC,
    Limits,
    Rows,
    SessionSetting,
    Statement,
    checking,
    options,
    shared,
)
from runtime.errors import ConfigError, SessionRefused, unusable

__all__ = ["CATALOG_ONLY", "WITH_PUBLIC", "Limits", "cause_of", "connect", "connect_async"]

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]
AsyncConnection = psycopg.AsyncConnection[Row]

_ALWAYS: Final[Mapping[str, Any]] = {
    # Detects a dead server within half a minute instead of two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_NAMED: Final = re.compile(r"(?:-c\s*|--)([\w.]+)\s*=")
_REFUSES: Final = ("startup parameter", "command-line options")
"""Phrases in the errors of poolers that refuse parameters in the start-up packet."""


def cause_of(error: psycopg.Error) -> Cause:
    """Return the cause of *error*, without its text."""
    return of_database(error.sqlstate, str(error))


def parameters(
    dsn: str,
    password_file: Path | None,
    *,
    section: str,
    application: str,
    connect_timeout_s: int = 10,
) -> dict[str, Any]:
    """
    Return the connection parameters with the password, which must never be shown.

    Args:
        dsn: A connection string of libpq, without a password.

        password_file: File with the password in its first line.

        section: Section of the settings that holds both, for errors.

        application: Name of the session in `pg_stat_activity`.

        connect_timeout_s: Time limit of an attempt, unless *dsn* sets one.

    Raises:
        ConfigError: *dsn* is not valid or holds a password, or the file cannot be read.
    """
    try:
        own: dict[str, Any] = dict(conninfo_to_dict(dsn))
    except psycopg.Error:
        # The message of psycopg repeats the string, which may hold a password.
        raise ConfigError(
            key=f"{section}.dsn",
            source="settings",
            problem="the value is not a connection string of libpq",
            remedy="Write it as host=... dbname=... user=...",
        ) from None
    if own.get("password"):
        raise ConfigError(
            key=f"{section}.dsn",
            source="settings",
            problem="the value contains a password",
            remedy=f"Put the password into a file and name it in {section}.password_file.",
        )
    if password_file is not None:
        own["password"] = read_secret(password_file, key=f"{section}.password_file")
    own.setdefault("connect_timeout", connect_timeout_s)
    return {**_ALWAYS, "application_name": application, **own}


def read_secret(path: Path, *, key: str) -> str:
    """
    Return the first line of *path*.

    Raises:
        ConfigError: The file cannot be read, or other users may read it.
    """
    try:
        return files.read_secret(path).decode().split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise unusable(path, exc, key=key) from None


class Wanted(msgspec.Struct, frozen=True):
    """The connection parameters, and the settings that the session must have."""

    sent: Mapping[str, Any]
    """Parameters with the settings that can be sent in the start-up packet."""
    bare: Mapping[str, Any]
    """Parameters without settings, for a pooler that refuses settings."""
    settings: Sequence[SessionSetting]


def wanted_of(where: str | Mapping[str, Any], limits: Limits, path: str) -> Wanted:
    """Return the parameters and settings of a session with these *limits* and search *path*."""
    parts = dict(conninfo_to_dict(where) if isinstance(where, str) else where)
    own = str(parts.pop("options", None) or "")
    named = {name.lower() for name in _NAMED.findall(own)}
    # The operator may change a limit, but no setting on which the meaning of statements depends:
    # of two values, the last one applies.
    ours = limits.settings()
    relied_on = [*MEANING, SessionSetting("search_path", path)]
    sent = {
        **parts,
        "client_encoding": "UTF8",
        "options": " ".join(filter(None, (options(ours), own, options(relied_on)))),
    }
    settings = [*(one for one in ours if one.name not in named), *relied_on]
    return Wanted(sent, parts, settings)


def connect(
    where: str | Mapping[str, Any],
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    path: str = CATALOG_ONLY,
    autocommit: bool = True,
) -> Connection:
    """
    Return an open connection whose session has all settings that statements need.

    Args:
        where: A connection string of libpq, or connection parameters.

        limits: Time limits of the session, unless `options` in *where* sets them.

        path: Search path of the session.

        autocommit: Whether each statement is a transaction of its own.

    Raises:
        psycopg.Error: There is no connection; `cause_of` returns why.
        SessionRefused: The session does not get a setting.
    """
    wanted = wanted_of(where, limits, path)
    try:
        connection = psycopg.connect(**wanted.sent, autocommit=True)
    except psycopg.OperationalError as error:
        if not _is_of_pooler(error):
            raise
        connection = psycopg.connect(**wanted.bare, autocommit=True)
    try:
        steps = checking(wanted.settings, key_pid=connection.info.backend_pid)
        pid = _drive(connection, steps)
        if pid is not None:
            with psycopg.connect(**wanted.bare, autocommit=True) as other:
                _refuse_shared(pid, other.execute(_PID).fetchone())
        connection.autocommit = autocommit
    except psycopg.errors.TransactionTimeout:
        connection.close()
        raise _over_at_once() from None
    except BaseException:
        # After any error no connection may stay open; the error is raised again.
        connection.close()
        raise
    return connection


async def connect_async(
    where: str | Mapping[str, Any],
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    path: str = CATALOG_ONLY,
    autocommit: bool = True,
) -> AsyncConnection:
    """
    Return an open connection for asyncio. Arguments as for `connect`.

    Raises:
        psycopg.Error: There is no connection; `cause_of` returns why.
        SessionRefused: The session does not get a setting.
    """
    wanted = wanted_of(where, limits, path)
    try:
        connection = await psycopg.AsyncConnection.connect(**wanted.sent, autocommit=True)
    except psycopg.OperationalError as error:
        if not _is_of_pooler(error):
            raise
        connection = await psycopg.AsyncConnection.connect(**wanted.bare, autocommit=True)
    try:
        steps = checking(wanted.settings, key_pid=connection.info.backend_pid)
        pid = await _drive_async(connection, steps)
        if pid is not None:
            async with await psycopg.AsyncConnection.connect(
                **wanted.bare, autocommit=True
            ) as other:
                _refuse_shared(pid, await (await other.execute(_PID)).fetchone())
        await connection.set_autocommit(autocommit)
    except psycopg.errors.TransactionTimeout:
        await connection.close()
        raise _over_at_once() from None
    except BaseException:
        # After any error no connection may stay open; the error is raised again.
        await connection.close()
        raise
    return connection


# A pooler in transaction mode gives the session of an idle connection to the next connection, also
# while the first one is still open.
_PID: Final = b"SELECT pg_catalog.pg_backend_pid()"


def _refuse_shared(pid: int, row: Row | None) -> None:
    if row == (pid,):
        raise shared()


def connect_as_found(where: str | Mapping[str, Any]) -> Connection:
    """
    Return a connection without changing its session's settings, for the doctor to examine.

    Raises:
        psycopg.Error: There is no connection; `cause_of` returns why.
    """
    parts = conninfo_to_dict(where) if isinstance(where, str) else where
    return psycopg.connect(**parts, autocommit=True)


def _over_at_once() -> SessionRefused:
    return SessionRefused(
        "transaction_timeout",
        wanted="0",
        remedy="the timeout ends each transaction before the session can change it: run"
        " ALTER DATABASE ... RESET transaction_timeout and ALTER ROLE ... RESET"
        " transaction_timeout",
    )


def _is_of_pooler(error: psycopg.OperationalError) -> bool:
    text = str(error).lower()
    return any(phrase in text for phrase in _REFUSES)


def _drive(connection: Connection, steps: Generator[Statement, Rows, int | None]) -> int | None:
    rows: Rows = []
    try:
        statement = next(steps)
        while True:
            try:
                cursor = connection.execute(statement.text, statement.arguments, prepare=False)
                rows = cursor.fetchall()
            except psycopg.Error:
                if connection.closed or not statement.may_fail:
                    raise
            statement = steps.send(rows)
    except StopIteration as done:
        pid: int | None = done.value
        return pid


async def _drive_async(
    connection: AsyncConnection, steps: Generator[Statement, Rows, int | None]
) -> int | None:
    rows: Rows = []
    try:
        statement = next(steps)
        while True:
            try:
                cursor = await connection.execute(
                    statement.text, statement.arguments, prepare=False
                )
                rows = await cursor.fetchall()
            except psycopg.Error:
                if connection.closed or not statement.may_fail:
                    raise
            statement = steps.send(rows)
    except StopIteration as done:
        pid: int | None = done.value
        return pid
