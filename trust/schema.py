"""The vault's schema: applies the migrations, as an administrator of the database."""

from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from runtime import migrations
from runtime.logs import describe
from trust.errors import VaultUnavailable

_FOLDER: Final = Path(__file__).parent / "sql" / "migrations"
_ROLE: Final = "vv_trust"


def migrate(dsn: str, *, role_password: str | None) -> list[str]:
    """
    Bring the vault to the schema of this software; return the names of what was applied.

    Args:
        dsn: An administrator's connection string to the vault database.

        role_password: What `vv_trust` may log in with from now on, if that is to be changed.

    Raises:
        MigrationError: A migration failed, or was changed since.
        VaultUnavailable: The database cannot be reached.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            applied = migrations.apply(connection, migrations.read(_FOLDER))
            if role_password is not None:
                connection.execute(
                    sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(_ROLE), sql.Literal(role_password)
                    )
                )
    except psycopg.Error as exc:
        raise VaultUnavailable(describe(exc)) from None
    return [migration.path.name for migration in applied]
