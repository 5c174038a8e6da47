"""
An upgrade begins with the schema: the running release continues with the schema of the
next one.
"""

from pathlib import Path
from typing import Final

import psycopg
import pytest

from runtime.database import migrations
from runtime.database.migrations import Migration
from schema.steps import telemetry
from simulators.stack.system import System
from tests.fixtures.system import Scene

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

# Changes that a later release may make to tables that this release reads and writes.
_LATER: Final = """
ALTER TABLE vv.observations ADD COLUMN later integer;
ALTER TABLE vv.envelopes ADD COLUMN later text DEFAULT 'none';
ALTER TABLE vv.permissions ADD COLUMN later boolean NOT NULL DEFAULT false;
ALTER TABLE vv.spools ADD COLUMN later timestamptz;
CREATE TABLE vv.later (series_id integer PRIMARY KEY REFERENCES vv.series);
CREATE INDEX ON vv.envelopes (agent, outcome);
"""


def _migrate_later(whole: System) -> list[str]:
    """Apply the migration of a later release, as its `vitalveil ingest migrate` would."""
    with psycopg.connect(whole.databases.admin("telemetry"), autocommit=True) as connection:
        is_timescale = connection.execute(
            "SELECT FROM pg_extension WHERE extname = 'timescaledb'"
        ).fetchall()
        steps = telemetry(variant="timescale" if is_timescale else "native")
        later = Migration(len(steps) + 1, Path(f"{len(steps) + 1:04}_later.sql"), _LATER)
        return [step.path.name for step in migrations.apply(connection, [*steps, later])]


def test_a_later_schema_under_load(scene: Scene) -> None:
    """Nothing is lost or doubled while tables change, and new connections work as well."""
    flow = scene.flow()

    assert len(_migrate_later(scene.system)) == 1

    before = len(flow.stored())
    flow.wait_for(lambda: len(flow.stored()) > before + 50, "it is stored into the new schema")
    assert scene.system.ingest is not None
    assert scene.system.ingest.exit_code is None
    scene.system.ingest.stop()
    scene.system.start_ingest()
    flow.end()
