"""The vault's schema: applies the migrations, as an administrator of the database."""

import psycopg

from runtime.database import migrations, postgres
from schema import roles, steps
from trust.config import DatabaseSettings
from trust.errors import VaultUnavailable
from trust.vault.database import parameters, why


def migrate(settings: DatabaseSettings, *, role_password: str | None) -> list[str]:
    """
    Apply the missing migrations to the vault; return the file names of those applied.

    Args:
        settings: How to connect to the vault database as an administrator.

        role_password: The new password of `vv_trust`; None keeps the present one.

    Raises:
        ConfigError: The dsn is invalid, or contains a password.
        MigrationError: A migration failed, or its file was changed after it had been applied.
        SessionRefused: The server does not grant a setting that migrations rely on.
        VaultUnavailable: The database cannot be reached.
    """
    try:
        where = parameters(settings, section="migrate")
        with postgres.connect(where, path=postgres.WITH_PUBLIC) as connection:
            applied = migrations.apply(connection, steps.vault(), readers=[roles.VAULT])
            if role_password is not None:
                roles.let_in(connection, roles.VAULT, role_password)
    except psycopg.Error as exc:
        raise VaultUnavailable(why(exc)) from None
    return [migration.path.name for migration in applied]
