"""
Migrations: numbered SQL files, applied in order, each once, under a lock.

The files of a database that has variants stand in a sub-folder `common`, and in one named for the
variant that the database is (`native`, `timescale`); one number is one step in either. A file that
was applied and then changed is refused: what runs in a hospital is what was tested.
"""

import contextlib
import hashlib
import re
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg.rows import scalar_row

from runtime.errors import RuntimeSetupError

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_APPLIED: Final = (
    "CREATE TABLE IF NOT EXISTS public.vv_migrations (number integer PRIMARY KEY,"
    " name text NOT NULL, digest text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())"
)


class MigrationError(RuntimeSetupError):
    """The database cannot be brought to the schema of this software."""


class Migration(msgspec.Struct, frozen=True):
    """One step."""

    number: int
    path: Path
    sql: str

    @property
    def digest(self) -> str:
        """What its text was when it was applied."""
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
            raise MigrationError(f"{path.name} is not named NNNN_what.sql")
        number = int(match.group(1))
        if number in found:
            raise MigrationError(f"{path.name} has the number of {found[number].path.name}")
        found[number] = Migration(number, path, path.read_text(encoding="utf-8"))
    if sorted(found) != list(range(1, len(found) + 1)):
        raise MigrationError(f"{folder.name} has a gap in its numbers")
    return [found[number] for number in sorted(found)]


def apply(connection: psycopg.Connection, migrations: list[Migration]) -> list[Migration]:
    """
    Apply what is missing, all in one transaction; return what was applied.

    Args:
        connection: In autocommit, of a role that may create roles and schemas.

        migrations: Every migration of the schema, in order.

    Raises:
        MigrationError: A file was changed after it was applied, or one failed.
    """
    _create_list(connection)
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        # The lock of a table, which only its owner may take: an advisory lock is anyone's.
        cursor.execute("LOCK TABLE public.vv_migrations IN EXCLUSIVE MODE")
        with connection.cursor() as known_cursor:
            known_cursor.execute("SELECT number, digest FROM public.vv_migrations")
            known: dict[int, str] = dict(known_cursor.fetchall())
        applied: list[Migration] = []
        for migration in migrations:
            if migration.number in known:
                if known[migration.number] != migration.digest:
                    raise MigrationError(
                        f"{migration.path.name} was changed after it was applied to this database;"
                        " nothing was done. Install the software that applied it, or make the"
                        " database anew"
                    )
                continue
            try:
                cursor.execute(migration.sql.encode())
            except psycopg.Error as exc:
                raise MigrationError(
                    f"{migration.path.name} failed with SQLSTATE {exc.sqlstate}:"
                    f" {exc.diag.message_primary}"
                ) from None
            cursor.execute(
                "INSERT INTO public.vv_migrations (number, name, digest) VALUES (%s, %s, %s)",
                [migration.number, migration.path.name, migration.digest],
            )
            applied.append(migration)
    return applied


def _create_list(connection: psycopg.Connection) -> None:
    """Create the table of applied migrations, if it is not there."""
    # IF NOT EXISTS does not see what another migrate is creating at this moment.
    with contextlib.suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
        connection.execute(_APPLIED)
