"""
Whether a database has the schema of this software: the condition under which programs start.

`migrate` lists what it applied in `public.vv_migrations`, and lets the roles of the programs read
that list. A program waits for a schema that is missing or of an earlier version. A schema of a
later version is only noted, because the release before runs on it.
"""

import enum
from collections.abc import Collection
from typing import Any, Final

import msgspec
import psycopg

from runtime.causes.cause import Cause

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]

_IS_LISTED: Final = b"SELECT pg_catalog.to_regclass('public.vv_migrations') IS NOT NULL"
_IS_EMPTY: Final = (
    b"SELECT pg_catalog.to_regnamespace('vv') IS NULL"
    b" AND pg_catalog.to_regnamespace('vault') IS NULL"
)
_NUMBERS: Final = b"SELECT number FROM public.vv_migrations"


class SchemaState(enum.Enum):
    """How the schema of a database compares with the migrations of this software."""

    CURRENT = "current"
    MISSING = "missing"
    BEHIND = "behind"
    AHEAD = "ahead"
    UNKNOWN = "unknown"
    """The role may not read the list: a release before this one migrated the database."""


class SchemaStatus(msgspec.Struct, frozen=True):
    """The state, and how many migrations of this software are not applied."""

    state: SchemaState
    pending: int = 0

    @property
    def must_wait(self) -> bool:
        """Whether this software cannot work with the schema."""
        return self.state in (SchemaState.MISSING, SchemaState.BEHIND)

    def cause(self, *, command: str) -> Cause | None:
        """
        Return what is wrong with the schema, in words; None if nothing is, or it is unknown.

        Args:
            command: The command that migrates this database.
        """
        remedy = (
            f"Run `{command}` as an administrator of the database, and check that dsn names the"
            " right database. Programs that wait for it then continue by themselves."
        )
        match self.state:
            case SchemaState.MISSING:
                return Cause("the database has no schema of VitalVeil", remedy, True)
            case SchemaState.BEHIND:
                text = f"{self.pending} migrations are not applied to the database"
                return Cause(text, remedy, True)
            case SchemaState.AHEAD:
                text = "the database has the schema of a later version than this software"
                return Cause(text, "Upgrade VitalVeil on this machine.")
        return None


def judge(applied: Collection[int] | None, steps: Collection[int]) -> SchemaStatus:
    """
    Compare the numbers of the migrations that are *applied* with the *steps* of this software.

    Args:
        applied: The numbers in the list; empty if there is no list, None if it may not be read.

        steps: The numbers of the migrations of this software.
    """
    if applied is None:
        return SchemaStatus(SchemaState.UNKNOWN)
    pending = len(set(steps) - set(applied))
    if not applied:
        return SchemaStatus(SchemaState.MISSING, pending)
    if pending:
        return SchemaStatus(SchemaState.BEHIND, pending)
    is_ahead = bool(set(applied) - set(steps))
    return SchemaStatus(SchemaState.AHEAD if is_ahead else SchemaState.CURRENT)


def ask(connection: Connection) -> list[int] | None:
    """
    Return the numbers of the applied migrations, as `judge` takes them.

    Args:
        connection: A connection in autocommit.
    """
    try:
        if connection.execute(_IS_LISTED).fetchone() != (True,):
            return []
        return [int(number) for (number,) in connection.execute(_NUMBERS).fetchall()]
    except psycopg.errors.InsufficientPrivilege:
        # The list is made before the first migration, and is readable from its COMMIT on.
        return [] if connection.execute(_IS_EMPTY).fetchone() == (True,) else None


async def ask_async(connection: AsyncConnection) -> list[int] | None:
    """Return the same as `ask`, for asyncio."""
    try:
        cursor = await connection.execute(_IS_LISTED)
        if await cursor.fetchone() != (True,):
            return []
        cursor = await connection.execute(_NUMBERS)
        return [int(number) for (number,) in await cursor.fetchall()]
    except psycopg.errors.InsufficientPrivilege:
        cursor = await connection.execute(_IS_EMPTY)
        return [] if await cursor.fetchone() == (True,) else None
