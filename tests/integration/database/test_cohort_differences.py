"""
No published figure differs with and without any one person of a cohort.

All published views are compared: 24 hours, their day, its shares at every level, two purposes that
share most people, and the operational figures.
"""

import contextlib
import datetime as dt
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import psycopg
import pytest

from tests.fixtures.cohort import DAY, GLUCOSE, HEART_RATE, LATER, roll_up
from tests.fixtures.database import Database

pytestmark = pytest.mark.database

_VIEWS: Final = {
    "cohorts_hourly": 3,
    "cohorts_daily": 3,
    "cohort_shares_daily": 6,
}
"""Each view of figures, and how many of its columns identify the figure."""
_OPERATIONS: Final = (
    "ops_envelopes_hourly", "ops_quarantine", "ops_agents", "ops_permissions", "ops_series",
    "ops_erasures",
)  # fmt: skip
_CLEAR: Final = (
    "published_cohorts, vv.published_shares, vv.published_through, vv.published_purposes"
)
Figures = dict[tuple[object, ...], tuple[object, ...]]
Values = Mapping[int, Sequence[float]]
"""The value of each hour, by person."""


def _store(database: Database, values: Values, *, quantity: int, purpose: str, base: int) -> None:
    """Store an hourly value of each person, from the day's first hour on."""
    database.execute(
        "SELECT vv.ensure_partitions(%s, %s)", DAY.date(), (DAY + dt.timedelta(days=1)).date()
    )
    database.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity, counted_from)"
        " SELECT int8send(%s) || int8send(n), %s, %s, '1970-01-01' FROM unnest(%s::bigint[]) n",
        base, purpose, quantity, list(values),
    )  # fmt: skip
    rows = [(n, hour, v) for n, course in values.items() for hour, v in enumerate(course)]
    database.execute(
        "INSERT INTO vv.observations"
        " SELECT %s + h * interval '1 hour', series_id, value, 0"
        " FROM unnest(%s::bigint[], %s::integer[], %s::real[]) AS r (n, h, value)"
        " JOIN vv.series ON pseudonym = int8send(%s) || int8send(n) AND quantity = %s",
        DAY, *map(list, zip(*rows, strict=True)), base, quantity,
    )  # fmt: skip


@contextlib.contextmanager
def _without(database: Database, person: int) -> Iterator[None]:
    """Exclude a person from every series while the context is open."""
    restrict = "UPDATE vv.series SET restricted_at = %s WHERE substr(pseudonym, 9) = int8send(%s)"
    database.execute(restrict, DAY, person)
    try:
        yield
    finally:
        database.execute(restrict, None, person)


def _published(database: Database) -> Figures:
    """
    Publish everything as if for the first time; return each figure by its view and key
    columns.
    """
    found: Figures = {}
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(f"TRUNCATE vv.{_CLEAR}".encode())
        connection.execute("SELECT vv.publish_cohorts(%s)", [LATER])
        for view, keys in _VIEWS.items():
            for row in connection.execute(f"SELECT * FROM vv.{view}".encode()):  # noqa: S608
                found[view, *row[:keys]] = row[keys:]
    return found


def _courses(chance: random.Random, people: range, *, mean: float, spread: float) -> Values:
    """
    Return hourly values of people: each has a level and a daily rhythm, and some are far from the
    others.
    """
    courses = {}
    for person in people:
        level = chance.gauss(mean, spread) + chance.choice((0, 0, 0, 0, 0, 0, 5 * spread))
        courses[person] = [
            max(
                level + spread * math.sin(hour / 24 * 2 * math.pi) + chance.gauss(0, spread / 3), 1
            )
            for hour in range(24)
        ]
    return courses


@pytest.mark.parametrize("seed", range(6))
def test_no_figure_tells_whether_a_person_is_in_it(database: Database, seed: int) -> None:
    """Figure, spread, count and share are the same with a person and without."""
    chance = random.Random(seed)
    people = range(1, chance.choice((12, 13, 16, 24, 34, 40)) + 1)
    heart = _courses(chance, people, mean=75, spread=8)
    _store(database, heart, quantity=HEART_RATE, purpose="care", base=0)
    also = {n: course for n, course in heart.items() if n > 1}
    _store(database, also, quantity=HEART_RATE, purpose="research", base=1)
    glucose = _courses(chance, people, mean=7, spread=1.5)
    _store(database, glucose, quantity=GLUCOSE, purpose="care", base=0)
    roll_up(database, LATER)
    everybody = _published(database)

    assert len(everybody) > 10
    for person in people:
        with _without(database, person):
            others = _published(database)
        both = everybody.keys() & others.keys()
        told = {
            key: (everybody[key], others[key])
            for key in both
            if None not in everybody[key] + others[key]
        }
        assert [key for key, (one, other) in told.items() if one != other] == []


def test_an_extreme_is_told_by_no_figure(database: Database) -> None:
    """
    Twelve people near 70 and one at 187 for a day: the extreme value cannot be computed from mean
    and spread.

    If one person deviates by d and n - 1 others are alike, the spread is d * sqrt(n - 1) / n. So
    mean + spread * sqrt(n - 1) would be the value of that person.
    """
    chance = random.Random(187)
    values = {n: [chance.gauss(70, 2) for _ in range(24)] for n in range(1, 13)}
    _store(database, values | {13: [187.0] * 24}, quantity=HEART_RATE, purpose="care", base=0)
    roll_up(database, LATER)

    assert [key for key in _published(database) if key[0] != "cohort_shares_daily"] == []


def test_no_figure_depends_on_what_one_person_has(database: Database) -> None:
    """The published figures do not depend on the values of a thirteenth person."""
    chance = random.Random(13)
    values = {n: [chance.gauss(70, 8) for _ in range(24)] for n in range(1, 13)}
    _store(database, values | {13: [70.0] * 24}, quantity=HEART_RATE, purpose="care", base=0)
    with _without(database, 13):
        roll_up(database, LATER)
        others = _published(database)
    told = 0
    for extreme in (40.0, 90.0, 110.0, 130.0, 187.0):
        database.execute("DELETE FROM vv.observations WHERE series_id = 13")
        database.execute("SELECT vv.erase_series('{13}')")
        database.execute(
            "INSERT INTO vv.observations SELECT %s + h * interval '1 hour', 13, %s, 0"
            " FROM generate_series(0, 23) h",
            DAY, extreme,
        )  # fmt: skip
        database.execute("DELETE FROM vv.rolled_up WHERE true")
        roll_up(database, LATER)
        everybody = _published(database)
        for key in everybody.keys() & others.keys():
            pairs = zip(everybody[key], others[key], strict=True)
            told += 1
            assert all(one == other for one, other in pairs if None not in (one, other)), key
    assert told > 5


@pytest.mark.parametrize("people", [11, 12, 13])
def test_people_who_are_alike_have_no_spread(database: Database, people: int) -> None:
    """
    A spread near zero is not published, because the mean would then reveal every
    person's value.
    """
    alike = {n: [70.0 + n % 2] * 24 for n in range(1, people + 1)}
    _store(database, alike, quantity=HEART_RATE, purpose="care", base=0)
    roll_up(database, LATER)
    figures = _published(database)

    assert {row[-1] for key, row in figures.items() if key[0] != "cohort_shares_daily"} == {None}


def test_many_are_told_more_finely_than_few(database: Database) -> None:
    """Heart rates of 120 people are published in steps of 2, those of 12 people in steps of 10."""
    chance = random.Random(1)
    values = {n: [chance.gauss(76, 6) for _ in range(24)] for n in range(1, 121)}
    _store(database, values, quantity=HEART_RATE, purpose="care", base=0)
    roll_up(database, LATER)
    figures = [row for key, row in _published(database).items() if key[0] == "cohorts_hourly"]

    assert {row[1] for row in figures} == {110}
    assert {row[2] for row in figures} <= {74.0, 76.0, 78.0}


def test_operations_are_told_by_elevens(database: Database) -> None:
    """Operational figures up to ten are published as 0, and larger ones in multiples of eleven."""
    database.execute("UPDATE vv.permission_gate SET epoch = 1")
    database.execute("INSERT INTO vv.agents VALUES ('00c0ffeec0ffee00', 'sealed', NULL, 1)")
    told: list[tuple[object, ...]] = []
    for count in range(1, 24):
        database.execute(
            "WITH s AS (INSERT INTO vv.series (pseudonym, purpose, quantity)"
            " VALUES (int8send(0) || int8send(%s), 'care', 1) RETURNING *)"
            " INSERT INTO vv.permissions SELECT pseudonym, 1, '00c0ffeec0ffee00', series_id,"
            " '2020-01-01', NULL, NULL, 1, 1, 1, 1 FROM s",
            count,
        )
        database.execute("DELETE FROM vv.published_at")
        database.execute("SELECT vv.publish_cohorts(%s)", LATER)
        told.append(
            (
                count,
                *database.fetch("SELECT in_force, withdrawn, ended FROM vv.ops_permissions")[0],
            )
        )
    assert told == [(count, count // 11 * 11, 0, 0) for count in range(1, 24)]
    assert database.fetch("SELECT series FROM vv.ops_series") == [(22,)]


def test_operations_are_told_once_an_hour(database: Database) -> None:
    """
    Operational figures change once an hour, so that no single reading or withdrawal can
    be timed.
    """
    database.execute("SELECT vv.publish_cohorts(%s)", LATER)
    before = [database.fetch(f"SELECT * FROM vv.{view}") for view in _OPERATIONS]  # noqa: S608
    database.execute("UPDATE vv.permission_gate SET epoch = 1")
    database.execute(
        "INSERT INTO vv.agents SELECT lpad(to_hex(n), 16, '0'), 'sealed', NULL, 1"
        " FROM generate_series(1, 40) n"
    )

    database.execute("SELECT vv.publish_cohorts(%s)", LATER + dt.timedelta(minutes=59))
    assert [database.fetch(f"SELECT * FROM vv.{view}") for view in _OPERATIONS] == before  # noqa: S608
    database.execute("SELECT vv.publish_cohorts(%s)", LATER + dt.timedelta(minutes=60))
    assert database.fetch("SELECT agents FROM vv.ops_agents") == [(33,)]


def test_an_hour_of_few_gateways_is_not_told(database: Database) -> None:
    """
    An hour with ten sending gateways is not published; an hour with twelve is, after it
    has ended.
    """
    hour = DAY + dt.timedelta(hours=9)
    for agents, bucket in ((10, hour), (12, hour + dt.timedelta(hours=1))):
        database.execute(
            "INSERT INTO vv.envelopes SELECT lpad(to_hex(a), 16, '0'), '\\x00',"
            " s + 1000 * %s, '\\x00', 0, 10, %s"
            " FROM generate_series(1, %s) a, generate_series(1, 5) s",
            agents, bucket, agents,
        )  # fmt: skip
    database.execute("SELECT vv.publish_cohorts(%s)", hour + dt.timedelta(minutes=119))
    assert database.fetch("SELECT * FROM vv.ops_envelopes_hourly") == []
    database.execute("SELECT vv.publish_cohorts(%s)", hour + dt.timedelta(minutes=120))
    assert database.fetch("SELECT * FROM vv.ops_envelopes_hourly") == [
        (hour + dt.timedelta(hours=1), "accepted", 55, 594)
    ]
