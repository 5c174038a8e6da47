"""Migrates the telemetry database to this version's schema, and sets passwords of its roles."""

from collections.abc import Mapping

import psycopg

from ingest.errors import Unusable
from ingest.storage.database import DatabaseSettings, connection_string, store_error
from runtime.database import migrations, postgres
from schema import roles, steps


def migrate(settings: DatabaseSettings, *, passwords: Mapping[str, str]) -> list[str]:
    """
    Apply the missing migrations; return the names of the files applied.

    Args:
        settings: Connection of a role that may create roles, schemas and extensions.

        passwords: The password of each role that may log in from now on.

    Raises:
        MigrationError: A file was changed after it was applied, or a migration failed.
        SessionRefused: The session cannot get a setting that migrations rely on.
        StoreError: The database cannot be reached, or refuses a statement.
        Unusable: TimescaleDB is installed, but the server does not load it.
    """
    try:
        where = connection_string(settings, application="vitalveil-migrate")
        with postgres.connect(where, path=postgres.WITH_PUBLIC) as connection:
            wanted = steps.telemetry(variant=_variant(connection))
            applied = migrations.apply(connection, wanted, readers=roles.STARTING)
            for role, password in passwords.items():
                roles.let_in(connection, role, password)
    except psycopg.Error as error:
        raise store_error(error) from None
    return [step.path.name for step in applied]


def _variant(connection: psycopg.Connection) -> str:
    """Return timescale or native: the variant that the database has, otherwise the best it can."""
    is_there, is_begun, is_available = (
        connection.execute(query).fetchone() is not None
        for query in (
            "SELECT FROM pg_extension WHERE extname = 'timescaledb'",
            "SELECT FROM pg_namespace WHERE nspname = 'vv'",
            "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'",
        )
    )
    if is_there:
        return "timescale"
    if is_begun or not is_available:
        return "native"
    try:
        connection.execute("CREATE EXTENSION timescaledb")
    except (psycopg.InternalError, psycopg.OperationalError):
        # The SQLSTATE is XX000, which tells nothing. Not the native variant instead, because a
        # database keeps its variant for good.
        raise Unusable(
            "TimescaleDB is installed on the database server but not loaded. Add timescaledb to"
            " shared_preload_libraries and restart the server, or remove the package of"
            " TimescaleDB to use native partitions."
        ) from None
    return "timescale"
