"""Functions of the schema give the same results with other session settings."""

import psycopg
import pytest

from tests.fixtures.database import Database

pytestmark = pytest.mark.database

_BOUNDS = """
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'observations_20301201'
"""
_OTHER = "SET datestyle = 'German, DMY'; SET timezone = 'Asia/Kolkata'"


def test_partitions_are_days_of_utc_in_any_session(database: Database) -> None:
    """Partitions are days in UTC, whatever the session's date style and time zone."""
    if database.variant == "timescale":
        pytest.skip("TimescaleDB makes its own chunks")
    with psycopg.connect(database.dsn("vv_ingest"), autocommit=True) as connection:
        connection.execute(_OTHER)
        connection.execute("SELECT vv.ensure_partitions('01.12.2030', '01.12.2030')")
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'")
        assert connection.execute(_BOUNDS).fetchone() == (
            "FOR VALUES FROM ('2030-12-01 00:00:00+00') TO ('2030-12-02 00:00:00+00')",
        )


def test_functions_with_text_of_times_pin_what_that_depends_on(database: Database) -> None:
    """Every function that formats or truncates times pins the time zone UTC."""
    found = database.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'vv'::regnamespace"
        " AND prosrc ~ 'date_trunc|to_char|to_date' AND NOT EXISTS (SELECT"
        " FROM unnest(proconfig) c WHERE c ILIKE 'timezone=UTC')"
    )
    assert found == []
