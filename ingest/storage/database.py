"""Connections to the telemetry database, and its errors as those of `ingest.errors`."""

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

# A lock that a hanging process of trust holds is waited for in turns, not for ever.
_LIMITS: Final = postgres.Limits(lock_ms=10_000, idle_in_transaction_ms=60_000)


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to connect to the telemetry database."""

    dsn: Annotated[str, Meta(min_length=1)]
    """
    Connection string of libpq without the password, as
    `host=db dbname=vv_telemetry user=vv_ingest`.
    """
    password_file: Path | None = None
    """File that holds the password, as `/etc/vitalveil/database.password`."""

    def __post_init__(self) -> None:
        try:
            parts = conninfo_to_dict(self.dsn)
        except psycopg.Error:
            # The message of psycopg repeats the string, which may hold a password.
            raise ValueError("dsn is not a connection string of libpq") from None
        if parts.get("password"):
            raise ValueError(
                "dsn contains a password; put the password into a file and name it in"
                " password_file"
            )


def connection_string(settings: DatabaseSettings, *, application: str) -> str:
    """
    Return the connection string with the password included, which must never be shown.

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
        Unavailable: The database cannot be reached now.
        Unusable: The database is set up wrongly.
    """
    async with mapped_errors():
        return await postgres.connect_async(conninfo, limits=_LIMITS, autocommit=autocommit)


@contextlib.asynccontextmanager
async def mapped_errors() -> AsyncIterator[None]:
    """Turn errors of psycopg into `StoreError`, without their text, which may hold values."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(error) from None
    except SessionRefused as error:
        raise Unusable(str(error)) from None
    except (OSError, TimeoutError) as error:
        raise Unavailable(describe(error)) from None


def store_error(error: psycopg.Error) -> StoreError:
    """Return *error* as the matching `StoreError`."""
    cause = postgres.cause_of(error)
    if error.sqlstate is None:
        return (Unusable if cause.is_permanent else Unavailable)(str(cause))
    kinds: dict[Verdict, type[StoreError]] = {
        Verdict.TRANSIENT: Unavailable,
        Verdict.POISON: Poisoned,
        Verdict.FATAL: Unusable,
    }
    return kinds[classify(error.sqlstate)](str(cause))
