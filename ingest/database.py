"""Connections to PostgreSQL, and what its errors mean to us."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import psycopg
from msgspec import Meta
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.errors import Poisoned, StoreError, Unavailable, Unusable
from ingest.failures import Verdict, classify
from runtime.errors import ConfigError
from runtime.logs import describe

_ALWAYS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    # A trust that hangs in its transaction is waited for in turns, not for ever.
    "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c timezone=UTC",
}

# libpq gives no SQLSTATE when there is no connection, only a text; of that only these meanings are
# passed on. In another language than English the operator gets the type of the error alone.
_UNCONNECTED: Final[dict[str, tuple[type[StoreError], str]]] = {
    "password authentication failed": (Unusable, "the database refused the password"),
    "no password supplied": (Unusable, "the database wants a password"),
    "is not permitted to log in": (Unusable, "the role may not log in"),
    "root certificate file": (Unusable, "the file that sslrootcert names is not there"),
    "certificate verify failed": (Unavailable, "the database's certificate does not verify"),
    "no pg_hba.conf entry": (Unavailable, "pg_hba.conf lets this role in from elsewhere alone"),
    "does not exist": (Unusable, "there is no such database or role"),
    "connection refused": (Unavailable, "nobody listens there"),
    "starting up": (Unavailable, "the database is starting"),
    "shutting down": (Unavailable, "the database is stopping"),
    "timeout expired": (Unavailable, "the database does not answer"),
    "translate host name": (Unavailable, "the host name is not known"),
}


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the telemetry database is, and who we are to it."""

    dsn: Annotated[str, Meta(min_length=1)]
    """Of libpq, without the password: `host=db dbname=vv_telemetry user=vv_ingest`."""
    password_file: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = conninfo_to_dict(self.dsn)
        except psycopg.Error:
            # Its message repeats the string.
            raise ValueError("dsn is not a connection string of libpq") from None
        if parts.get("password"):
            raise ValueError("dsn contains a password; put it into a file and name password_file")


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


def connection_string(settings: DatabaseSettings, *, application: str) -> str:
    """
    Return what libpq connects with, the password included: never to be shown.

    Raises:
        ConfigError: The password file cannot be read.
    """
    secret: dict[str, str] = {}
    if settings.password_file is not None:
        secret["password"] = read_secret(settings.password_file, key="database.password_file")
    own = conninfo_to_dict(settings.dsn)
    parts: dict[str, Any] = {**_ALWAYS, **own, **secret}
    # After ours, which hold unless they are set otherwise: an option of the operator's must not
    # have a transaction wait for ever.
    parts["options"] = f"{_ALWAYS['options']} {own.get('options', '')}".strip()
    parts["application_name"] = application
    return make_conninfo("", **parts)


async def connect(conninfo: str, *, autocommit: bool) -> AsyncConnection:
    """
    Return an open connection.

    Raises:
        Unavailable: Not now.
        Unusable: Never, as it is set up.
    """
    async with mapped_errors():
        return await AsyncConnection.connect(conninfo, autocommit=autocommit)


@contextlib.asynccontextmanager
async def mapped_errors() -> AsyncIterator[None]:
    """Raise what the library raises as a `StoreError`, without its text: it may hold values."""
    try:
        yield
    except psycopg.Error as error:
        raise _store_error(error) from None
    except (OSError, TimeoutError) as error:
        raise Unavailable(describe(error)) from None


def _store_error(error: psycopg.Error) -> StoreError:
    if error.sqlstate is None:
        text = str(error).lower()
        for phrase, (kind, meaning) in _UNCONNECTED.items():
            if phrase in text:
                return kind(meaning)
    kinds: dict[Verdict, type[StoreError]] = {
        Verdict.TRANSIENT: Unavailable,
        Verdict.POISON: Poisoned,
        Verdict.FATAL: Unusable,
    }
    return kinds[classify(error.sqlstate)](describe(error))
