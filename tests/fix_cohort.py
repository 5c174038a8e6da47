"""People whose days are known, in a telemetry database: what figures of cohorts are made of."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.fix_database import Database

DAY: Final = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
LATER: Final = DAY + dt.timedelta(days=3)
HEART_RATE: Final = 1
GLUCOSE: Final = 4
INSIDE: Final = {
    HEART_RATE: (45.0, 55.0, 70.0, 90.0, 110.0, 130.0),
    GLUCOSE: (2.5, 3.4, 5.0, 7.0, 9.0, 12.0, 15.0),
}
"""One value inside each piece of the scale, from the lowest to the highest."""
Minutes = Mapping[int, Sequence[int]]
"""Of each series, how many minutes it spent in each piece of the scale."""


def spend(
    database: Database,
    minutes: Minutes,
    *,
    quantity: int = GLUCOSE,
    purpose: str = "care",
    day: dt.datetime = DAY,
    spread: int = 24,
) -> None:
    """Store a day in which each series spent its minutes, over the first *spread* hours."""
    database.execute(
        "SELECT vv.ensure_partitions(%s, %s)", day.date(), (day + dt.timedelta(days=1)).date()
    )
    database.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity, counted_from)"
        " SELECT int8send(0) || int8send(n), %s, %s, '1970-01-01' FROM unnest(%s::bigint[]) n"
        " ON CONFLICT DO NOTHING",
        purpose, quantity, list(minutes),
    )  # fmt: skip
    rows = [row for number in minutes for row in _rows(number, minutes[number], quantity, spread)]
    database.execute(
        "INSERT INTO vv.observations"
        " SELECT %s + s * interval '1 second', series_id, value, 0"
        " FROM unnest(%s::bigint[], %s::integer[], %s::real[]) AS r (n, s, value)"
        " JOIN vv.series ON pseudonym = int8send(0) || int8send(n) AND quantity = %s",
        day, *map(list, zip(*rows, strict=True)), quantity,
    )  # fmt: skip


def _rows(
    number: int, pieces: Sequence[int], quantity: int, spread: int
) -> Iterator[tuple[int, int, float]]:
    values = [v for v, n in zip(INSIDE[quantity], pieces, strict=True) for _ in range(n)]
    step = spread * 60 // len(values) * 60
    for place, value in enumerate(values):
        yield number, place * step, value


def publish(database: Database, now: dt.datetime = LATER) -> None:
    """Bring the aggregates up to *now* and publish what is due."""
    roll_up(database, now)
    database.execute("SELECT vv.publish_cohorts(%s)", now)


def roll_up(database: Database, now: dt.datetime) -> None:
    """Bring the aggregates up to *now*, whichever kind they are."""
    if database.fetch("SELECT relkind FROM pg_class WHERE oid = 'vv.aggregates_1m'::regclass") == [
        ("r",)
    ]:
        database.execute("SELECT pg_stat_force_next_flush()")
        database.execute("SELECT vv.roll_up(%s)", now)
