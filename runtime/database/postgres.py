"""
Connections to PostgreSQL: the one place that makes them, for every program.

Each has all the settings that our statements rely on, or is not made
(`runtime.database.session_settings`). No text of the server or of the driver passes: it may quote
a row, or name a host.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from runtime.database.session_settings import (
    CATALOG_ONLY,
    MEANING,
    WITH_PUBLIC,
    Limits,
    Rows,
    Setting,
    Statement,
    checking,
    options,
    shared,
)
from runtime.errors import ConfigError, SessionRefused

__all__ = ["CATALOG_ONLY", "WITH_PUBLIC", "Limits", "connect", "connect_async", "meaning"]

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]
AsyncConnection = psycopg.AsyncConnection[Row]

_ALWAYS: Final[Mapping[str, Any]] = {
    # A server that is gone is noticed within half a minute, not within two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_NAMED: Final = re.compile(r"(?:-c\s*|--)([\w.]+)\s*=")
_REFUSES: Final = ("startup parameter", "command-line options")
"""What poolers write that take no parameters in the start-up packet, or only some."""

# libpq gives no SQLSTATE when there is no connection, only a text; of that only these meanings are
# passed on. In another language than English the operator gets the type of the error alone.
_UNCONNECTED: Final[Mapping[str, tuple[bool, str]]] = {
    "password authentication failed": (True, "the database refused the password"),
    "no password supplied": (True, "the database wants a password"),
    "is not permitted to log in": (True, "the role may not log in"),
    "root certificate file": (True, "the file that sslrootcert names is not there"),
    "certificate verify failed": (False, "the database's certificate does not verify"),
    "no pg_hba.conf entry": (False, "pg_hba.conf lets this role in from elsewhere alone"),
    "too many connections": (False, "the database has no connection left for this role"),
    "connection slots": (False, "the database has no connection left for this role"),
    "does not exist": (True, "there is no such database or role"),
    "connection refused": (False, "nobody listens there"),
    "starting up": (False, "the database is starting"),
    "shutting down": (False, "the database is stopping"),
    "timeout expired": (False, "the database does not answer"),
    "translate host name": (False, "the host name is not known"),
}


class Meaning(msgspec.Struct, frozen=True):
    """
    Why there is no connection.

    Args:
        text: In words, without a name or an address.

        is_permanent: Whether it is so until somebody changes the settings or the server.
    """

    text: str
    is_permanent: bool


def meaning(error: psycopg.Error) -> Meaning | None:
    """Return why there is no connection; None when *error* says something else, or not enough."""
    if error.sqlstate is None:
        text = str(error).lower()
        for phrase, (is_permanent, words) in _UNCONNECTED.items():
            if phrase in text:
                return Meaning(words, is_permanent)
    return None


def parameters(
    dsn: str,
    password_file: Path | None,
    *,
    section: str,
    application: str,
    connect_timeout_s: int = 10,
) -> dict[str, Any]:
    """
    Return how to connect, the password included: never to be shown.

    Args:
        dsn: A connection string of libpq, without a password.

        password_file: Holds the password in its first line.

        section: Their place in the settings, for errors.

        application: What the server lists the session under.

        connect_timeout_s: How long one attempt may take, unless *dsn* says so.

    Raises:
        ConfigError: The dsn is none, holds a password, or the password file cannot be read.
    """
    try:
        own: dict[str, Any] = dict(conninfo_to_dict(dsn))
    except psycopg.Error:
        # Its message repeats the string.
        raise ConfigError(
            key=f"{section}.dsn",
            source="settings",
            problem="it is not a connection string of libpq",
            mend="Write it as host=... dbname=... user=...",
        ) from None
    if own.get("password"):
        raise ConfigError(
            key=f"{section}.dsn",
            source="settings",
            problem="it holds a password",
            mend=f"Put the password into a file and name it in {section}.password_file.",
        )
    if password_file is not None:
        own["password"] = read_secret(password_file, key=f"{section}.password_file")
    own.setdefault("connect_timeout", connect_timeout_s)
    return {**_ALWAYS, "application_name": application, **own}


def read_secret(path: Path, *, key: str) -> str:
    """
    Return the first line of *path*.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            key=key,
            source=str(path),
            problem=f"the file cannot be read ({type(exc).__name__})",
            mend="Check the path and its permissions.",
        ) from None


class Wanted(msgspec.Struct, frozen=True):
    """What is sent, what is sent to a pooler that takes no settings, and what has to hold."""

    sent: Mapping[str, Any]
    bare: Mapping[str, Any]
    settings: Sequence[Setting]


def wanted_of(where: str | Mapping[str, Any], limits: Limits, path: str) -> Wanted:
    """Return what a session at *where* asks for, with these *limits* and this search *path*."""
    parts = dict(conninfo_to_dict(where) if isinstance(where, str) else where)
    own = str(parts.pop("options", None) or "")
    named = {name.lower() for name in _NAMED.findall(own)}
    # The operator may change a limit, and nothing that a statement's meaning depends on: of two
    # values the last one holds.
    ours = limits.settings()
    relied_on = [*MEANING, Setting("search_path", path)]
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
    Return an open connection whose session has what our statements rely on.

    Args:
        where: A connection string of libpq, or its parts.

        limits: Its time limits; those that `options` in *where* names are the operator's.

        path: Its search path.

        autocommit: Whether each statement is a transaction of its own.

    Raises:
        psycopg.Error: There is no connection; `meaning` may say why.
        SessionRefused: There is one, and it does not get a setting.
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
    Do as `connect`.

    Raises:
        psycopg.Error: There is no connection; `meaning` may say why.
        SessionRefused: There is one, and it does not get a setting.
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
        await connection.close()
        raise
    return connection


# A pooler of transactions gives the session that one connection has just left to the next one that
# asks, also while the first is still open.
_PID: Final = b"SELECT pg_catalog.pg_backend_pid()"


def _refuse_shared(pid: int, row: Row | None) -> None:
    if row == (pid,):
        raise shared()


def connect_as_found(where: str | Mapping[str, Any]) -> Connection:
    """
    Return a connection with whatever settings its session has: to look at, not to work with.

    Raises:
        psycopg.Error: There is no connection; `meaning` may say why.
    """
    parts = conninfo_to_dict(where) if isinstance(where, str) else where
    return psycopg.connect(**parts, autocommit=True)


def _over_at_once() -> SessionRefused:
    return SessionRefused(
        "transaction_timeout",
        wanted="0",
        remedy="it ends a transaction before that can be changed: run ALTER DATABASE ... RESET"
        " transaction_timeout and ALTER ROLE ... RESET transaction_timeout",
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
