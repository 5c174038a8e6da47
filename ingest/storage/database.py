"""Connections to PostgreSQL, and what its errors mean to us."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import psycopg
from msgspec import Meta
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.errors import Poisoned, StoreError, Unavailable, Unusable
from ingest.values.failures import Verdict, classify
from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.logs import describe

# A trust that hangs in its transaction is waited for in turns, not for ever.
_LIMITS: Final = postgres.Limits(lock_ms=10_000, idle_in_transaction_ms=60_000)


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


def connection_string(settings: DatabaseSettings, *, application: str) -> str:
    """
    Return what libpq connects with, the password included: never to be shown.

    Raises:
        ConfigError: The password file cannot be read.
    """
    parts = postgres.parameters(
        settings.dsn, settings.password_file, section="database", application=application
    )
    return make_conninfo("", **parts)


async def connect(conninfo: str, *, autocommit: bool) -> AsyncConnection:
    """
    Return an open connection.

    Raises:
        Unavailable: Not now.
        Unusable: Never, as it is set up.
    """
    async with mapped_errors():
        return await postgres.connect_async(conninfo, limits=_LIMITS, autocommit=autocommit)


@contextlib.asynccontextmanager
async def mapped_errors() -> AsyncIterator[None]:
    """Raise what the library raises as a `StoreError`, without its text: it may hold values."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(error) from None
    except SessionRefused as error:
        raise Unusable(str(error)) from None
    except (OSError, TimeoutError) as error:
        raise Unavailable(describe(error)) from None


def store_error(error: psycopg.Error) -> StoreError:
    """Return what *error* means to us."""
    if (found := postgres.meaning(error)) is not None:
        return (Unusable if found.is_permanent else Unavailable)(found.text)
    kinds: dict[Verdict, type[StoreError]] = {
        Verdict.TRANSIENT: Unavailable,
        Verdict.POISON: Poisoned,
        Verdict.FATAL: Unusable,
    }
    return kinds[classify(error.sqlstate)](describe(error))
