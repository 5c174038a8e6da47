"""
Time in range and distributions are right for a known load, and no difference of figures reveals
one person.
"""

import datetime as dt
import itertools
import random
from typing import Final

import pytest

from tests.fixtures.cohort import DAY, GLUCOSE, HEART_RATE, INSIDE, LATER, Minutes, publish, spend
from tests.fixtures.database import Database

pytestmark = pytest.mark.database

_LEAST: Final = 11
_MOST_OF_ONE: Final = 0.85


def shares(database: Database, level: int) -> dict[str, float]:
    """Return the published shares of one level, band by band, from the lowest."""
    rows = database.fetch(
        "SELECT band, share FROM vv.cohort_shares_daily WHERE level = %s ORDER BY place", level
    )
    return {str(band): float(str(share)) for band, share in rows}


def published(database: Database) -> list[tuple[object, ...]]:
    """Return all published shares."""
    return database.fetch("SELECT * FROM vv.cohort_shares_daily ORDER BY bucket, level, place")


def test_a_known_load_gives_the_known_shares(database: Database) -> None:
    """
    Of twelve people, eight are in range for 0.7 of their day and four for 0.3, so the share is 6.8
    / 12.

    Two bands would change without one person, and are not published.
    """
    eight = dict.fromkeys(range(1, 9), (12, 12, 72, 48, 48, 24, 24))
    four = dict.fromkeys(range(9, 13), (24, 12, 24, 24, 24, 72, 60))
    spend(database, eight | four)

    publish(database)

    assert database.fetch(
        "SELECT DISTINCT bucket, purpose, quantity, subjects FROM vv.cohort_shares_daily"
    ) == [(DAY, "care", "glucose_interstitial", 11)]
    assert shares(database, 4) == {"out of range": 0.4, "in range": 0.6}
    assert shares(database, 3) == {"below 3.9": 0.1, "3.9 to 10.0": 0.6, "above 10.0": 0.3}
    assert shares(database, 2) == {"below 3.0": 0.1, "3.9 to 10.0": 0.6, "10.1 to 13.9": 0.2}
    assert list(shares(database, 1)) == [
        "below 3.0", "3.9 to 5.5", "5.6 to 7.7", "7.8 to 10.0", "10.1 to 13.9",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "band"),
    [(2.9, "below 3.9"), (3.8, "below 3.9"), (3.9, "3.9 to 10.0"), (10.0, "3.9 to 10.0"),
     (10.1, "above 10.0")],
)  # fmt: skip
def test_edges_are_those_of_the_consensus(database: Database, value: float, band: str) -> None:
    """
    The limits of the consensus are in range: 3.9 and 10.0 mmol/L; values a tenth beyond
    are not.
    """
    assert database.fetch(
        "SELECT band FROM vv.bands b JOIN vv.scales s USING (quantity) WHERE quantity = 4"
        " AND level = 3 AND piece = width_bucket(%s::real::double precision, edges)",
        value,
    ) == [(band,)]


def test_people_weigh_the_same_however_often_they_were_measured(database: Database) -> None:
    """
    All people weigh the same: a sensor with a value each minute counts like one with a value each
    five.
    """
    spend(database, dict.fromkeys(range(1, 7), (0, 0, 0, 0, 720, 720, 0)))
    spend(database, dict.fromkeys(range(7, 13), (0, 0, 0, 0, 72, 216, 0)))

    publish(database)

    # (6 x 0.5 + 6 x 0.25) / 12 = 0.375, published in steps of 0.1.
    assert shares(database, 4) == {"out of range": 0.6, "in range": 0.4}


def test_ten_are_no_cohort(database: Database) -> None:
    """Neither ten people nor eleven of whom one was hardly measured are a cohort."""
    spend(database, dict.fromkeys(range(1, 11), (0, 48, 48, 48, 48, 48, 48)))
    spend(database, {11: (0, 12, 12, 12, 12, 12, 12)}, spread=16)

    publish(database)

    assert published(database) == []


def test_a_restricted_person_is_in_no_share(database: Database) -> None:
    """A person with restricted data is in no share, and does not count towards the eleven."""
    spend(database, dict.fromkeys(range(1, 12), (0, 48, 48, 48, 48, 48, 48)))
    database.execute("UPDATE vv.series SET restricted_at = now() WHERE series_id = 5")

    publish(database)

    assert published(database) == []


def test_a_band_of_few_takes_its_level_with_it(database: Database) -> None:
    """
    If ten people are in a band, its whole level is not published, because subtraction would reveal
    them.
    """
    spend(database, dict.fromkeys(range(1, 11), (24, 24, 48, 48, 48, 48, 48)))
    spend(database, dict.fromkeys(range(11, 13), (0, 48, 48, 48, 48, 48, 48)))

    publish(database)

    assert shares(database, 1) == shares(database, 2) == {}
    assert list(shares(database, 3)) == ["below 3.9", "3.9 to 10.0", "above 10.0"]


def test_a_band_that_one_person_dominates_takes_its_level_with_it(database: Database) -> None:
    """If one person dominates a band, its whole level is not published."""
    spend(database, dict.fromkeys(range(1, 12), (0, 1, 60, 60, 60, 53, 54)))
    spend(database, {12: (0, 280, 2, 2, 2, 1, 1)})

    publish(database)

    assert shares(database, 3) == {}
    assert list(shares(database, 4)) == ["out of range", "in range"]


def test_what_all_have_in_common_is_not_told(database: Database) -> None:
    """
    If all thirteen people are in range all day, no share is published: it would be true for each
    person.
    """
    spend(database, dict.fromkeys(range(1, 14), (0, 0, 96, 96, 96, 0, 0)))

    publish(database)

    assert published(database) == []


def test_a_rotation_does_not_make_two_of_one(database: Database) -> None:
    """Six people whose series changed at noon have twelve series, but are no cohort."""
    spend(database, dict.fromkeys(range(1, 13), (0, 24, 24, 24, 24, 24, 24)), quantity=GLUCOSE)
    database.execute(
        "UPDATE vv.series SET counted_from = %s WHERE series_id > 6", DAY + dt.timedelta(days=1)
    )

    publish(database)

    assert published(database) == []
    assert database.fetch("SELECT * FROM vv.cohorts_daily") == []
    assert database.fetch("SELECT * FROM vv.cohorts_hourly") == []


def test_a_new_series_counts_from_the_next_day(database: Database) -> None:
    """A new series counts from the next day, and its exact beginning is not stored."""
    database.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity) VALUES (%s, 'care', 4)", bytes(16)
    )

    assert database.fetch(
        "SELECT counted_from > now(), counted_from <= now() + interval '24 hours',"
        " counted_from = date_trunc('day', counted_from, 'UTC') FROM vv.series"
    ) == [(True, True, True)]


def test_two_purposes_do_not_tell_whom_one_has_more(database: Database) -> None:
    """
    If eleven of twelve people also take part in research, only the figures of one purpose are
    published.
    """
    everybody = dict.fromkeys(range(1, 13), (0, 48, 48, 48, 48, 48, 48))
    spend(database, everybody)
    spend(
        database,
        {n + 100: pieces for n, pieces in everybody.items() if n < 12},
        purpose="research",
    )

    publish(database)

    for view in ("cohort_shares_daily", "cohorts_daily", "cohorts_hourly"):
        assert database.fetch(f"SELECT DISTINCT purpose FROM vv.{view}") == [("care",)]  # noqa: S608


def test_published_shares_never_change(database: Database) -> None:
    """
    Published shares never change, so that late or erased data cannot be derived from two
    readings.
    """
    spend(database, dict.fromkeys(range(1, 13), (0, 48, 48, 48, 48, 48, 48)))
    publish(database)
    before = published(database)

    spend(database, {13: (0, 0, 0, 0, 0, 0, 288)})
    database.execute("SELECT vv.erase_series('{3}')")
    publish(database, LATER + dt.timedelta(hours=3))

    assert before
    assert published(database) == before


def test_days_are_published_once_they_are_over(database: Database) -> None:
    """
    A day is published one day after its end, to include late data, and a view shows how far
    figures are published.
    """
    spend(database, dict.fromkeys(range(1, 13), (0, 48, 48, 48, 48, 48, 48)))

    publish(database, DAY + dt.timedelta(days=1, hours=23))
    assert published(database) == []
    publish(database, DAY + dt.timedelta(days=2))
    assert published(database)

    assert database.fetch(
        "SELECT through, figures FROM vv.ops_cohorts WHERE width = 'day, shares'"
    ) == [(DAY + dt.timedelta(days=1), len(published(database)))]


def test_levels_are_made_of_one_another(database: Database) -> None:
    """
    Each level covers the whole scale, and each of its bands consists of whole bands of the finer
    level.
    """
    pieces = _bands(database)
    for (quantity, level), bands in pieces.items():
        whole = set(range(len(INSIDE[quantity])))
        assert set().union(*bands.values()) == whole
        assert sum(map(len, bands.values())) == len(whole)
        for finer in pieces.get((quantity, level - 1), {}).values():
            assert sum(finer <= band for band in bands.values()) == 1


def _bands(database: Database) -> dict[tuple[int, int], dict[str, set[int]]]:
    found: dict[tuple[int, int], dict[str, set[int]]] = {}
    for quantity, level, band, pieces in database.fetch(
        "SELECT quantity, level, band, array_agg(piece) FROM vv.bands GROUP BY 1, 2, 3"
    ):
        at = found.setdefault((int(str(quantity)), int(str(level))), {})
        at[str(band)] = set(pieces)  # type: ignore[call-overload]  # an array
    return found


def _crowd(chance: random.Random, quantity: int) -> Minutes:
    """Return realistic people: some never leave a band, some hardly enter it."""
    width = len(INSIDE[quantity])
    tails = [chance.choice((0.2, 0.9, 1.0)) for _ in range(width)]
    return {
        number: _day(chance, [chance.random() ** 3 if chance.random() < t else 0 for t in tails])
        for number in range(1, chance.choice((11, 12, 14, 24)) + 1)
    }


def _day(chance: random.Random, weights: list[float]) -> list[int]:
    if not any(weights):
        weights[len(weights) // 2] = 1
    counts = [0] * len(weights)
    for piece in chance.choices(range(len(weights)), weights, k=96):
        counts[piece] += 1
    return counts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("quantity", [HEART_RATE, GLUCOSE])
def test_no_difference_of_figures_is_of_few(database: Database, quantity: int, seed: int) -> None:
    """
    Attack by sums and differences of published figures, for every set of values that they
    describe.

    In each set at least eleven people spent time, and no person more than 85 % of it.
    """
    people = _crowd(random.Random(f"{seed} {quantity}"), quantity)
    spend(database, people, quantity=quantity)
    publish(database)
    bands = _bands(database)
    told = {
        (level, str(band)): frozenset(bands[quantity, level][str(band)])
        for level, band in ((int(str(row[3])), row[5]) for row in published(database))
    }
    for pieces in _differences(set(told.values())):
        assert _is_sound(people, pieces), pieces
    for level in range(1, 5):
        expected = bands[quantity, level]
        is_told = all(_is_sound(people, pieces) for pieces in expected.values())
        same = {name for name, pieces in expected.items() if _is_same_without_one(people, pieces)}
        assert {name for at, name in told if at == level} == (same if is_told else set())
        for name, share in shares(database, level).items():
            assert share == pytest.approx(_mean(people, expected[name]), abs=0.0501)


def _differences(told: set[frozenset[int]]) -> set[frozenset[int]]:
    """Return all sets that can be derived by repeated differences."""
    found = set(told)
    while True:
        new = {a - b for a, b in itertools.permutations(found, 2) if b < a} - found
        new |= {a & b for a, b in itertools.combinations(found, 2) if a & b} - found
        if not new:
            return found
        found |= new


def _is_sound(people: Minutes, pieces: frozenset[int] | set[int]) -> bool:
    spent = [sum(day[piece] for piece in pieces) / sum(day) for day in people.values()]
    return sum(s > 0 for s in spent) >= _LEAST and max(spent) <= _MOST_OF_ONE * sum(spent)


def _is_same_without_one(people: Minutes, pieces: set[int]) -> bool:
    """Tell whether the share in steps of 0.1 is the same without any one of *people*."""
    left = [_mean({n: d for n, d in people.items() if n != one}, pieces) for one in people]
    return len({round(s * 10 + off) for s in left for off in (-1e-7, 1e-7)}) == 1


def _mean(people: Minutes, pieces: set[int]) -> float:
    return sum(sum(d[p] for p in pieces) / sum(d) for d in people.values()) / len(people)
