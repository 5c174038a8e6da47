"""The benchmark refuses to run with a guarantee switched off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import guard
from benchmarks.errors import Refused
from benchmarks.world.database import Telemetry
from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database, Template, create_database, programs

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def durable(run_folder: Path) -> Iterator[Template]:
    """The template of telemetry databases on a server whose commits wait for the disk."""
    server = Postgres(folder=run_folder / "durable", programs=programs())
    server.start()
    yield Template(create_database(server))
    server.stop()


@pytest.fixture
def database(durable: Template) -> Database:
    """A telemetry database for this test alone."""
    return durable.copy()


@pytest.fixture
def telemetry(database: Database) -> Iterator[Telemetry]:
    """An administrator's connection."""
    one = Telemetry(database.dsn())
    yield one
    one.close()


def test_durable_database_is_taken(telemetry: Telemetry) -> None:
    """A migrated database is accepted, because its COMMIT survives a power cut."""
    guard.check_durability(telemetry)


@pytest.mark.parametrize(
    ("change", "guarantee"),
    [
        ("ALTER ROLE vv_ingest IN DATABASE {name} SET synchronous_commit = off", "synchronous"),
        ("ALTER DATABASE {name} SET synchronous_commit = local", "synchronous"),
        ("ALTER TABLE vv.envelopes DROP CONSTRAINT envelopes_pkey", "ledger"),
        ("ALTER TABLE vv.spools SET UNLOGGED", "durability"),
    ],
)
def test_weakened_database_is_refused(
    database: Database, telemetry: Telemetry, change: str, guarantee: str
) -> None:
    """A database with a weakened guarantee is refused."""
    database.execute(change.format(name=database.name))
    with pytest.raises(Refused, match=guarantee):
        guard.check_durability(telemetry)
