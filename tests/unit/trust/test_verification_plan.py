"""When what is verified."""

from trust.stores import Table
from trust.verification_rounds import Plan

HOUR = 3600.0


def table(place: str = "vv.a", *, file: int = 1, inserted: int = 10) -> Table:
    """Return a table of ours."""
    return Table(place, file, inserted, is_ours=True, is_attached=True)


def _looked(plan: Plan, *tables: Table, now: float) -> None:
    plan.due(tables, now=now)
    for one in tables:
        plan.looked_at(one, now=now)


def test_a_table_never_seen_is_due_at_once() -> None:
    """So is everything after a start: nothing is remembered outside the process."""
    assert Plan().due([table()], now=0) == [table()]


def test_what_did_not_change_is_due_once_a_day() -> None:
    """The same file with the same count of inserted rows holds the same rows."""
    plan = Plan()
    _looked(plan, table(), now=0)

    assert plan.due([table()], now=23 * HOUR) == []
    assert plan.due([table()], now=24 * HOUR) == [table()]


def test_what_only_grew_is_due_once_an_hour() -> None:
    """Ingest inserts all the time."""
    plan = Plan()
    _looked(plan, table(), now=0)

    assert plan.due([table(inserted=11)], now=HOUR - 1) == []
    assert plan.due([table(inserted=11)], now=HOUR) == [table(inserted=11)]


def test_another_file_is_due_at_once_and_first() -> None:
    """A table that was truncated and filled, or dropped and made, is perhaps restored."""
    plan = Plan()
    old, grown = table("vv.old"), table("vv.grown")
    _looked(plan, old, grown, now=0)
    restored, grown = table("vv.old", file=2), table("vv.grown", inserted=11)

    assert plan.due([grown, restored], now=HOUR) == [restored, grown]


def test_a_table_that_went_and_came_back_is_due() -> None:
    """A partition that was detached and attached again is a new one."""
    plan = Plan()
    _looked(plan, table(), now=0)
    plan.due([], now=1)

    assert plan.due([table()], now=2) == [table()]


def test_another_start_of_the_server_makes_everything_due() -> None:
    """It may be another server, with the same files and counts."""
    plan = Plan()
    assert plan.are_names_due("1.5 1 2 3 10 10", now=0)
    _looked(plan, table(), now=0)
    assert not plan.are_names_due("1.5 1 2 3 10 10", now=1)
    assert plan.due([table()], now=1) == []

    assert plan.are_names_due("2.5 1 2 3 10 10", now=2)
    assert plan.due([table()], now=2) == [table()]


def test_names_that_grew_are_looked_at_after_ten_minutes() -> None:
    """And at once when their table has another file; at least once an hour in any case."""
    plan = Plan()
    plan.are_names_due("1 1 2 3 10 10", now=0)

    assert not plan.are_names_due("1 1 2 3 11 10", now=599)
    assert plan.are_names_due("1 1 2 3 11 10", now=600)
    assert plan.are_names_due("1 9 2 3 11 10", now=601)
    assert not plan.are_names_due("1 9 2 3 11 10", now=601 + HOUR - 1)
    assert plan.are_names_due("1 9 2 3 11 10", now=601 + HOUR)
