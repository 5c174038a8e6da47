"""The benchmark refuses to run with a guarantee switched off."""

from collections.abc import Iterator

import pytest

from benchmarks import guard
from benchmarks.errors import Refused
from benchmarks.world.database import Telemetry
from tests.fixtures.database import Database

pytestmark = pytest.mark.database


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
