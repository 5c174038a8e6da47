"""Ingest's monitoring of its database."""

import time

import pytest
from prometheus_client import CollectorRegistry

from ingest.storage.monitor import DatabaseMonitor, MonitorSettings
from tests.fixtures.database import Database

pytestmark = pytest.mark.database
_QUARANTINED = (
    "INSERT INTO vv.quarantine (agent, spool_id, sequence, reason, digest, payload, received_at,"
    " expires_at) SELECT 'aa', '\\x00', n, 'poison', '\\x00', '\\x00',"
    " now() - interval '1 hour', now() + interval '1 day' FROM generate_series(1, 3) n"
)


def _registry(watch: DatabaseMonitor) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(watch)
    return registry


def test_watch_tells_sizes_backlog_epoch_and_clock(database: Database) -> None:
    """The role of ingest can read sizes, backlog, epoch and clock for the operator's metrics."""
    database.execute(_QUARANTINED)
    with_capacity = MonitorSettings(database_capacity_bytes=10**9)
    seen = _registry(DatabaseMonitor(database.dsn("vv_ingest"), with_capacity)).get_sample_value
    assert (seen("vitalveil_ingest_database_bytes") or 0) > 1_000_000
    assert seen("vitalveil_ingest_database_capacity_bytes") == 10**9
    assert seen("vitalveil_ingest_quarantine_envelopes") == 3
    assert 3600 <= (seen("vitalveil_ingest_quarantine_oldest_seconds") or 0) < 3700
    assert seen("vitalveil_ingest_permissions_gate_epoch") == 0
    assert seen("vitalveil_ingest_ledger_envelopes") == 0
    assert abs(seen("vitalveil_ingest_clock_offset_seconds") or 0) < 5


def test_watch_is_patient_between_two_looks(database: Database) -> None:
    """However often it is scraped, ingest queries the database only at its interval."""
    now = [0.0]
    watch = DatabaseMonitor(
        database.dsn("vv_ingest"), MonitorSettings(every_s=30), monotonic=lambda: now[0]
    )
    seen = _registry(watch).get_sample_value
    assert seen("vitalveil_ingest_quarantine_envelopes") == 0
    database.execute(_QUARANTINED)
    now[0] += 29
    assert seen("vitalveil_ingest_quarantine_envelopes") == 0
    now[0] += 2
    assert seen("vitalveil_ingest_quarantine_envelopes") == 3


def test_a_clock_that_is_set_back_does_not_stop_the_watch(database: Database) -> None:
    """A wall clock that is set back does not stop the monitoring."""
    wall, now = [time.time()], [0.0]
    watch = DatabaseMonitor(
        database.dsn("vv_ingest"),
        MonitorSettings(every_s=30),
        now=lambda: wall[0],
        monotonic=lambda: now[0],
    )
    seen = _registry(watch).get_sample_value
    assert abs(seen("vitalveil_ingest_clock_offset_seconds") or 0) < 5
    wall[0] -= 3600
    now[0] += 31
    assert abs((seen("vitalveil_ingest_clock_offset_seconds") or 0) + 3600) < 5


def test_a_database_that_is_away_is_absent_not_old(database: Database) -> None:
    """Metrics of an unreachable database are absent, not outdated."""
    wrong = database.dsn("vv_ingest").replace(database.name, "nowhere")
    seen = _registry(DatabaseMonitor(wrong, MonitorSettings())).get_sample_value
    assert seen("vitalveil_ingest_database_bytes") is None
