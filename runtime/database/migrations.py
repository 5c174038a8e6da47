"""
Migrations: numbered SQL files, applied in order, each once, under a lock.

A database with variants has its files in a folder `common` and in a folder for each variant
(`native`, `timescale`); a number is the same step in both variants. A file that was changed after
it was applied is refused, so that a hospital runs what was tested.
"""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from runtime.errors import RuntimeSetupError

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_APPLIED: Final = (
    "CREATE TABLE IF NOT EXISTS public.vv_migrations (number integer PRIMARY KEY,"
    " name text NOT NULL, digest text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())"
)


class MigrationError(RuntimeSetupError):
    """The database cannot be migrated to the schema of this version."""


class Migration(msgspec.Struct, frozen=True):
    """A migration file."""

    number: int
    path: Path
    sql: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the SQL text, which is recorded when the file is applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(folder: Path, *, variant: str | None = None) -> list[Migration]:
    """
    Return the migrations of *folder*, or of its sub-folders `common` and *variant*, in order.

    Raises:
        MigrationError: Two files have one number, or a number is missing.
    """
    folders = [folder] if variant is None else [folder / "common", folder / variant]
    found: dict[int, Migration] = {}
    for path in sorted(path for where in folders for path in where.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"The migration {path.name} is not named NNNN_what.sql.")
        number = int(match.group(1))
        if number in found:
            raise MigrationError(
                f"The migration {path.name} has the number of {found[number].path.name}."
            )
        found[number] = Migration(number, path, path.read_text(encoding="utf-8"))
    if sorted(found) != list(range(1, len(found) + 1)):
        raise MigrationError(f"The migrations in {folder.name} have a gap in their numbers.")
    return [found[number] for number in sorted(found)]


def apply(
    connection: psycopg.Connection, migrations: list[Migration], *, readers: Sequence[str] = ()
) -> list[Migration]:
    """
    Apply the missing migrations in one transaction; return them.

    Args:
        connection: A connection in autocommit, of a role that may create roles and schemas.

        migrations: All migrations of the schema, in order.

        readers: The roles that may read which migrations are applied, before they start to work.

    Raises:
        MigrationError: A file was changed after it was applied, or a migration failed; nothing
            was applied.
    """
    _create_list(connection)
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        # Only the owner can lock a table; any role could take an advisory lock.
        cursor.execute("LOCK TABLE public.vv_migrations IN EXCLUSIVE MODE")
        with connection.cursor() as known_cursor:
            known_cursor.execute("SELECT number, digest FROM public.vv_migrations")
            known: dict[int, str] = dict(known_cursor.fetchall())
        applied: list[Migration] = []
        for migration in migrations:
            if migration.number in known:
                if known[migration.number] != migration.digest:
                    raise MigrationError(
                        f"The migration {migration.path.name} was changed after it was applied to"
                        " this database; nothing was done. Install the version that applied the"
                        " file, or create a new database."
                    )
                continue
            try:
                cursor.execute(migration.sql.encode())
            except psycopg.Error as exc:
                raise MigrationError(
                    f"The migration {migration.path.name} failed with SQLSTATE {exc.sqlstate};"
                    f" nothing was done. The server says: {exc.diag.message_primary}"
                ) from None
            cursor.execute(
                "INSERT INTO public.vv_migrations (number, name, digest) VALUES (%s, %s, %s)",
                [migration.number, migration.path.name, migration.digest],
            )
            applied.append(migration)
        for role in readers:
            cursor.execute(
                sql.SQL("GRANT SELECT ON public.vv_migrations TO {}").format(sql.Identifier(role))
            )
    return applied


def _create_list(connection: psycopg.Connection) -> None:
    """Create the table of applied migrations if it does not exist."""
    # IF NOT EXISTS does not see a table that another `migrate` is creating at the same time.
    with contextlib.suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
        connection.execute(_APPLIED)
