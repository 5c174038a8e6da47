"""Aggregates and the views on them: equal on every kind of database, and never of one person."""

import datetime as dt

import psycopg
import pytest

from tests.fixtures.cohort import roll_up
from tests.fixtures.database import Database
from wire.quantities import all_quantities

pytestmark = pytest.mark.database

HOUR = dt.datetime(2026, 5, 4, 9, tzinfo=dt.UTC)
LATER = HOUR + dt.timedelta(days=3)
_VIEWS = (
    "cohorts_hourly", "cohorts_daily", "cohort_shares_daily", "ops_envelopes_hourly",
    "ops_quarantine", "ops_agents", "ops_permissions", "ops_series", "ops_storage", "ops_cohorts",
    "ops_erasures", "quantities", "scales", "bands",
)  # fmt: skip


def add_people(database: Database, count: int, *, quantity: int = 1) -> None:
    """Give *count* people an hour of two observations a minute: 60 + n and 62 + n."""
    database.execute(
        "SELECT vv.ensure_partitions(%s, %s)", HOUR.date(), (HOUR + dt.timedelta(days=1)).date()
    )
    database.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity, counted_from)"
        " SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'care', %s, '1970-01-01'"
        " FROM generate_series(1, %s) n",
        quantity,
        count,
    )
    database.execute(
        "INSERT INTO vv.observations"
        " SELECT %s + m * interval '30 seconds', series_id, 60 + series_id + 2 * (m %% 2), 0"
        " FROM vv.series, generate_series(0, 119) m",
        HOUR,
    )
    roll_up(database, LATER)


def test_aggregates_agree_with_observations(database: Database) -> None:
    """Each width holds count, sum, minimum and maximum of the observations below it."""
    add_people(database, 3)

    for width, buckets in (("1m", 60), ("1h", 1), ("1d", 1)):
        assert database.fetch(
            f"SELECT series_id, count(*), sum(observations), sum(total), min(lowest),"  # noqa: S608
            f" max(highest) FROM vv.aggregates_{width} GROUP BY 1 ORDER BY 1"
        ) == [(n, buckets, 120, 120.0 * (61 + n), 60.0 + n, 62.0 + n) for n in (1, 2, 3)]


def test_late_observations_are_rolled_up(database: Database) -> None:
    """Late observations of a past day are in its aggregates within an hour."""
    add_people(database, 1)
    database.execute(
        "INSERT INTO vv.observations VALUES (%s, 1, 200, 0)", HOUR + dt.timedelta(seconds=1)
    )

    roll_up(database, LATER + dt.timedelta(hours=1))

    assert database.fetch("SELECT observations, highest FROM vv.aggregates_1h") == [(121, 200.0)]


def test_no_cohort_below_eleven(database: Database) -> None:
    """Ten people are no cohort."""
    add_people(database, 10)
    database.execute("SELECT vv.publish_cohorts(%s)", LATER)

    assert database.fetch("SELECT * FROM vv.cohorts_hourly") == []


def test_eleven_are_a_cohort(database: Database) -> None:
    """
    Eleven or more people are a cohort: the rounded mean of their means is published by hour and
    day.
    """
    add_people(database, 13)

    database.execute("SELECT vv.publish_cohorts(%s)", LATER)

    # Their values are so alike that a spread would reveal each of them, so none is published.
    expected = [("care", "heart_rate", "/min", 11, 70.0, None)]
    for width in ("hourly", "daily"):
        assert (
            database.fetch(
                f"SELECT purpose, quantity, unit, subjects, mean, spread"  # noqa: S608
                f" FROM vv.cohorts_{width}"
            )
            == expected
        )


def test_published_figures_never_change(database: Database) -> None:
    """A late observation changes no published figure, so that two readings reveal nothing."""
    add_people(database, 11)
    database.execute("SELECT vv.publish_cohorts(%s)", LATER)
    before = database.fetch("SELECT * FROM vv.cohorts_hourly")

    database.execute(
        "INSERT INTO vv.observations VALUES (%s, 1, 250, 0)", HOUR + dt.timedelta(seconds=1)
    )
    roll_up(database, LATER + dt.timedelta(hours=2))
    database.execute("SELECT vv.publish_cohorts(%s)", LATER + dt.timedelta(hours=2))

    assert before
    assert database.fetch("SELECT * FROM vv.cohorts_hourly") == before


def test_restricted_people_are_in_no_figure(database: Database) -> None:
    """A person with restricted data is in no figure, and does not count towards the eleven."""
    add_people(database, 11)
    database.execute("UPDATE vv.series SET restricted_at = now() WHERE series_id = 5")

    database.execute("SELECT vv.publish_cohorts(%s)", LATER)

    assert database.fetch("SELECT * FROM vv.cohorts_hourly") == []


@pytest.mark.parametrize("role", ["vv_reader", "vv_grafana"])
def test_people_may_see_views_and_nothing_else(database: Database, role: str) -> None:
    """People's roles can read only the published views; chunks and aggregates are refused."""
    add_people(database, 11)
    database.execute(f"GRANT {role} TO CURRENT_USER")
    relations = database.fetch(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'v', 'p', 'm') AND pg_get_userbyid(relowner) = 'vv_owner'"
    )
    readable = set()
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        for schema, name in relations:
            try:
                connection.execute(f'SELECT * FROM "{schema}"."{name}" LIMIT 0'.encode())  # noqa: S608
                readable.add(name)
            except psycopg.errors.InsufficientPrivilege:
                pass

    assert readable == set(_VIEWS)
    assert len(relations) > len(_VIEWS) + 10


def test_quantities_are_those_of_the_wire(database: Database) -> None:
    """The codes, names and units of quantities in the database equal those of `wire`."""
    assert database.fetch("SELECT quantity, name, unit FROM vv.quantities ORDER BY 1") == [
        (int(q.code), q.name, q.unit) for q in all_quantities()
    ]


@pytest.mark.parametrize("view", _VIEWS)
def test_every_view_answers(database: Database, view: str) -> None:
    """The role of the dashboards can read each view."""
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("SET ROLE vv_grafana")
        connection.execute(f"SELECT * FROM vv.{view}".encode()).fetchall()  # noqa: S608


def test_an_advisory_lock_stops_nothing(database: Database) -> None:
    """Maintenance does not wait for advisory locks that a session holds under its names."""
    with psycopg.connect(database.dsn(), autocommit=True) as holder:
        for work in ("ensure_partitions", "roll_up", "publish_cohorts"):
            holder.execute("SELECT pg_advisory_lock(hashtext('vv.' || %s))", [work])
        with psycopg.connect(database.dsn(), autocommit=True) as connection:
            connection.execute("SET lock_timeout = '2s'")
            connection.execute("SELECT vv.ensure_partitions('2026-05-04', '2026-05-05')")
        add_people(database, 13)
        database.execute("SELECT vv.publish_cohorts(%s)", LATER)

    assert database.fetch("SELECT count(*) FROM vv.cohorts_hourly") == [(1,)]
