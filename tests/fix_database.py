"""A real PostgreSQL, one server per run, a fresh migrated database per test."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import sql

from runtime.database import migrations
from schema.steps import telemetry
from simulators.stack.postgres import Postgres

_numbers = itertools.count()


class Database(msgspec.Struct, frozen=True):
    """A telemetry database with its schema; *variant* is native or timescale."""

    server: Postgres
    name: str
    variant: str

    def dsn(self, role: str = "postgres") -> str:
        """Return a connection string; every role has the server's password."""
        return (
            f"host=127.0.0.1 port={self.server.port} dbname={self.name} user={role}"
            f" password={self.server.password}"
        )

    def fetch(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        """Return the rows of *query*, as the superuser."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            return connection.execute(query.encode(), arguments).fetchall()

    def execute(self, query: str, *arguments: object) -> None:
        """Run *query* as the superuser."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(query.encode(), arguments or None)


def programs() -> Path | None:
    """Return the folder of another server's programs, if the run is to use one."""
    named = os.environ.get("VITALVEIL_TEST_PROGRAMS")
    return Path(named) if named else None


@pytest.fixture(scope="session")
def postgres(run_folder: Path) -> Iterator[Postgres]:
    """
    The server of this run, of the wheel.

    VITALVEIL_TEST_PROGRAMS names the folder of another's initdb and postgres.
    """
    server = Postgres(folder=run_folder / "postgres", programs=programs())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Postgres) -> Database:
    """A telemetry database of this test alone."""
    return create_database(postgres)


def create_database(server: Postgres) -> Database:
    """Return a new telemetry database on *server*, migrated, every role able to log in."""
    name = f"telemetry_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        available = connection.execute(
            "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"
        ).fetchone()
        variant = "timescale" if available == (1,) else "native"
        if variant == "timescale":
            connection.execute("CREATE EXTENSION timescaledb")
        migrations.apply(connection, telemetry(variant=variant))
        for role in ("vv_owner", "vv_ingest", "vv_trust", "vv_reader", "vv_grafana"):
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(server.password)
                )
            )
    return Database(server, name, variant)
