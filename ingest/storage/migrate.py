"""Brings a telemetry database to the schema of this software; gives its roles their passwords."""

from collections.abc import Mapping

import psycopg

from ingest.errors import Unusable
from ingest.storage.database import DatabaseSettings, connection_string, store_error
from runtime.database import migrations, postgres
from schema import roles, steps


def migrate(settings: DatabaseSettings, *, passwords: Mapping[str, str]) -> list[str]:
    """
    Apply what is missing; return the names of the files applied.

    Args:
        settings: Whom to connect as: a role that may create roles, schemas and extensions.

        passwords: Roles that may log in from now on, each with its password.

    Raises:
        MigrationError: A file was changed after it was applied, or one failed.
        SessionRefused: The session does not get a setting that migrations rely on.
        StoreError: The database cannot be reached, or does not do what it is asked.
        Unusable: TimescaleDB is installed, and the server does not load it.
    """
    try:
        where = connection_string(settings, application="vitalveil-migrate")
        with postgres.connect(where, path=postgres.WITH_PUBLIC) as connection:
            wanted = steps.telemetry(variant=_variant(connection))
            applied = migrations.apply(connection, wanted)
            for role, password in passwords.items():
                roles.let_in(connection, role, password)
    except psycopg.Error as error:
        raise store_error(error) from None
    return [step.path.name for step in applied]


def _variant(connection: psycopg.Connection) -> str:
    """Return timescale or native: what the database is already, else what it can be."""
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
        # Its state is XX000, which says nothing. Not native instead: that is for good.
        raise Unusable(
            "TimescaleDB is installed and not loaded: name it in shared_preload_libraries and"
            " restart the server, or take its package away to have native partitions"
        ) from None
    return "timescale"
