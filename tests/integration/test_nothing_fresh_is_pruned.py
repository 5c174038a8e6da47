"""Trust can only delete expired data that are old by the database's own clock."""

import datetime as dt

import psycopg
import pytest

from tests.fixtures.database import Database
from tests.support.seed_permissions import Seed, sow, withdraw

pytestmark = pytest.mark.database

_LATER = "clock_timestamp() + interval '100 years'"
"""A time that a wrong clock of trust, or an attacker with its role, may ask for."""
_PRUNE_PERIODS = f"SELECT vv.prune_periods('test', {_LATER})"
_PERIODS = "SELECT count(*) FROM vv.permission_periods"


def ask(database: Database, statement: str) -> int:
    """Return the one row that *statement* returns to trust's role."""
    with psycopg.connect(database.dsn("vv_trust"), autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def observe(database: Database, age: dt.timedelta) -> dt.datetime:
    """Store a reading of this age in each series; return its time."""
    time = dt.datetime.now(dt.UTC) - age
    database.execute("SELECT vv.ensure_partitions(%s, %s)", time.date(), time.date())
    database.execute(
        "INSERT INTO vv.observations SELECT %s, series_id, 80, 0 FROM vv.series", time
    )
    return time


@pytest.mark.parametrize(("hours", "left"), [(23, 2), (25, 0)])
def test_a_period_is_a_day_old(database: Database, hours: int, left: int) -> None:
    """Periods that ended within a day are kept, even if trust asks to prune them."""
    sow(database, Seed())
    withdraw(database, Seed().handle)
    database.execute(
        "UPDATE vv.permission_periods SET recorded_at = now() - %s", dt.timedelta(hours=hours)
    )
    assert ask(database, _PRUNE_PERIODS) == 2 - left
    assert database.fetch(_PERIODS) == [(left,)]


def test_a_period_stays_as_long_as_a_reading_of_before(database: Database) -> None:
    """Periods of a series with an old reading are kept; those of its neighbour are pruned."""
    other = Seed(handle=bytes(16), pseudonym=bytes(16))
    sow(database, Seed(), other)
    for seed in (Seed(), other):
        withdraw(database, seed.handle)
    database.execute("UPDATE vv.permission_periods SET recorded_at = now() - interval '9 days'")
    observe(database, dt.timedelta(days=10))
    database.execute(
        "DELETE FROM vv.observations WHERE series_id ="
        " (SELECT series_id FROM vv.series WHERE pseudonym = %s)", other.pseudonym,
    )  # fmt: skip
    observe(database, dt.timedelta(hours=1))

    ask(database, _PRUNE_PERIODS)

    left = database.fetch("SELECT DISTINCT handle FROM vv.permission_periods")
    assert left == [(Seed().handle,)]
    database.execute("DELETE FROM vv.observations WHERE time < now() - interval '2 days'")
    ask(database, _PRUNE_PERIODS)
    assert database.fetch(_PERIODS) == [(0,)]


def test_what_flushes_held_stays_for_two_weeks(database: Database) -> None:
    """
    The records of flushes are kept for two weeks, to show under which permissions a row was
    stored.
    """
    database.execute(
        "INSERT INTO vv.flushes (transaction, epoch, held_at)"
        " SELECT n::text::xid8, 1, now() - make_interval(days => n)"
        " FROM unnest(ARRAY[1, 12, 14]) n"
    )
    assert ask(database, f"SELECT vv.prune_flushes({_LATER})") == 1
    left = database.fetch("SELECT transaction::text FROM vv.flushes ORDER BY held_at")
    assert left == [("12",), ("1",)]


def test_a_lease_stays_for_a_day_after_its_end(database: Database) -> None:
    """
    A lease is kept for a day after its end, because envelopes measured under it may still be under
    way.
    """
    sow(database, Seed(lease=9))
    database.execute(
        "INSERT INTO vv.leases SELECT agent, n, issued_at, now() - make_interval(hours => n),"
        " changed_epoch FROM vv.leases, unnest(ARRAY[1, 8]) n"
    )
    database.execute("UPDATE vv.leases SET not_after = now() - interval '25 h' WHERE version = 1")
    assert ask(database, f"SELECT vv.prune_leases({_LATER})") == 1
    assert database.fetch("SELECT version FROM vv.leases ORDER BY 1") == [(8,), (9,)]


@pytest.mark.parametrize(
    "delete", ["vv.drop_partitions(LATER)", "sum(row_count) FROM vv.retain('test', LATER, LATER)"]
)
def test_a_reading_stays_for_a_day(database: Database, delete: str) -> None:
    """A clock of trust that is a century ahead cannot delete the readings of the last day."""
    sow(database, Seed())
    observe(database, dt.timedelta(days=3))
    fresh = observe(database, dt.timedelta(hours=1))
    ask(database, "SELECT " + delete.replace("LATER", _LATER))
    assert database.fetch("SELECT time FROM vv.observations") == [(fresh,)]


def test_only_the_owner_asks_for_the_floor(database: Database) -> None:
    """Only the owner can call or replace the function that limits these deletions."""
    granted = database.fetch(
        "SELECT count(*) FROM pg_roles r"
        " WHERE starts_with(r.rolname, 'vv_') AND r.rolname <> 'vv_owner'"
        " AND has_function_privilege(r.oid, 'vv.at_least_a_day_ago(timestamptz)', 'EXECUTE')"
    )
    assert granted == [(0,)]
