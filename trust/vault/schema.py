"""The vault's schema: applies the migrations, as an administrator of the database."""

import psycopg

from runtime.database import migrations, postgres
from schema import roles, steps
from trust.config import DatabaseSettings
from trust.errors import VaultUnavailable
from trust.vault.database import parameters, why


def migrate(settings: DatabaseSettings, *, role_password: str | None) -> list[str]:
    """
    Bring the vault to the schema of this software; return the names of what was applied.

    Args:
        settings: Whom to connect to the vault database as: an administrator.

        role_password: What `vv_trust` may log in with from now on, if that is to be changed.

    Raises:
        ConfigError: The dsn is none, or holds a password.
        MigrationError: A migration failed, or was changed since.
        SessionRefused: The session does not get a setting that migrations rely on.
        VaultUnavailable: The database cannot be reached.
    """
    try:
        where = parameters(settings, section="migrate")
        with postgres.connect(where, path=postgres.WITH_PUBLIC) as connection:
            applied = migrations.apply(connection, steps.vault())
            if role_password is not None:
                roles.let_in(connection, roles.VAULT, role_password)
    except psycopg.Error as exc:
        raise VaultUnavailable(why(exc)) from None
    return [migration.path.name for migration in applied]
