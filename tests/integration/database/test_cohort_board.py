"""
The Cohort dashboard, queried as Grafana does: each panel, with its role, is right for a known
load.
"""

import datetime as dt
from typing import Any, Final

import msgspec
import psycopg
import pytest

from grafana.build import ROOT
from tests.fixtures.cohort import DAY, GLUCOSE, HEART_RATE, publish, spend
from tests.fixtures.database import Database

pytestmark = pytest.mark.database

_BOARD: Final = msgspec.json.decode((ROOT / "grafana/json/vitalveil-cohort.json").read_bytes())
_PANELS: Final[dict[str, Any]] = {
    panel["title"]: panel for panel in _BOARD["panels"] if panel["type"] != "row"
}


@pytest.fixture
def crowd(database: Database) -> Database:
    """Twelve people with a published day of glucose and of heart rate each."""
    spend(database, dict.fromkeys(range(1, 9), (12, 12, 72, 48, 48, 24, 24)), quantity=GLUCOSE)
    spend(database, dict.fromkeys(range(9, 13), (24, 12, 24, 24, 24, 72, 60)), quantity=GLUCOSE)
    pieces = (24, 24, 48, 48, 48, 48)
    spend(database, dict.fromkeys(range(1, 13), pieces), quantity=HEART_RATE)
    publish(database)
    return database


def _ask(database: Database, title: str, ref: str) -> list[tuple[Any, ...]]:
    text = next(t["rawSql"] for t in _PANELS[title]["targets"] if t["refId"] == ref)
    # The variables as Grafana fills them in, for a week that contains the day.
    first, last = DAY - dt.timedelta(days=3), DAY + dt.timedelta(days=4)
    text = text.replace("$__timeFilter(bucket)", f"bucket BETWEEN '{first}' AND '{last}'")
    with psycopg.connect(database.dsn("vv_grafana"), autocommit=True) as connection:
        return connection.execute(text.encode()).fetchall()


def test_time_in_range_is_right(crowd: Database) -> None:
    """Time in, above and below range is right for twelve people's glucose and heart rate."""
    glucose = [_ask(crowd, "Glucose: time in range, by day", ref) for ref in "ABC"]
    assert glucose == [[(DAY, 0.6)], [(DAY, 0.3)], [(DAY, 0.1)]]
    heart = [_ask(crowd, "Heart rate: time in range, by day", ref) for ref in "ABC"]
    assert heart == [[(DAY, 0.4)], [(DAY, 0.4)], [(DAY, 0.2)]]


def test_distributions_are_right(crowd: Database) -> None:
    """
    Distributions have the finest bands that hold enough people each, from the lowest to the
    highest value.

    A band whose share depends mostly on one person is not published.
    """
    assert _ask(crowd, "Glucose, mmol/L, last day in view", "A") == [
        ("below 3.0", 0.1), ("3.9 to 5.5", 0.2), ("5.6 to 7.7", 0.2), ("7.8 to 10.0", 0.2),
        ("10.1 to 13.9", 0.2),
    ]  # fmt: skip
    assert _ask(crowd, "Heart rate, a minute, last day in view", "A") == [
        ("below 50", 0.1), ("50 to 59", 0.1), ("60 to 79", 0.2), ("80 to 99", 0.2),
        ("100 to 119", 0.2), ("120 or more", 0.2),
    ]  # fmt: skip


def test_means_are_right(crowd: Database) -> None:
    """The daily mean of people's means is right, with one standard deviation on both sides."""
    heart = [_ask(crowd, "Heart rate, by day", ref) for ref in "ABC"]
    # All twelve people have the same mean of 90, so their spread is not published.
    assert heart == [[(DAY, 90)], [(DAY, None)], [(DAY, None)]]
    assert _ask(crowd, "People in the figures, by day", "A") == [(DAY, 11)]
    assert ("day, shares", 28) in [(w, n) for w, _, n in _ask(crowd, "Published through", "A")]


@pytest.mark.parametrize("title", _PANELS)
def test_a_cohort_of_ten_shows_nothing(database: Database, title: str) -> None:
    """
    For a cohort of ten every panel is empty, except the one that shows how far figures are
    published.
    """
    spend(database, dict.fromkeys(range(1, 11), (12, 12, 72, 48, 48, 24, 24)))
    publish(database)

    for target in _PANELS[title]["targets"]:
        found = _ask(database, title, target["refId"])
        assert [figures for *_, figures in found if figures] == []
