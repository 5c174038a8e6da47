"""Copies of erased data in every kind of relation are erased again, or reported by name."""

import pytest

from tests.fixtures.vault import Office, Refusal
from tests.support.ward import Ward

pytestmark = pytest.mark.database

_COLUMNS = "time timestamptz, series_id integer, value real, flags smallint"


class Copies:
    """An erased person whose rows are put back into tables beside trust's own."""

    def __init__(self, office: Office) -> None:
        self.ward = Ward(office, days=2)
        self.number = self.ward.erase()["number"]
        self.others = self.ward.stored_of_other()

    def make(self, statements: str, *, place: str | None = None) -> None:
        """Run *statements* as the owner; put a row of each person into *place*."""
        self.ward.telemetry.execute(f"SET ROLE vv_owner; {statements}; RESET ROLE")
        if place is not None:
            self.fill(place)

    def fill(self, place: str) -> None:
        """Put a row of each person into *place*."""
        for series in (self.ward.series[0], self.ward.others[0]):
            self.ward.telemetry.execute(
                f"INSERT INTO {place} (time, series_id, value, flags)"  # noqa: S608
                " VALUES (now(), %s, 1, 0)",
                series,
            )

    def held(self, place: str) -> list[object]:
        """Return the series that have rows in *place*."""
        rows = self.ward.telemetry.fetch(
            f"SELECT DISTINCT series_id FROM {place} ORDER BY 1"  # noqa: S608
        )
        return [series for (series,) in rows]

    @property
    def both(self) -> list[object]:
        """The series of both people that are put into copies."""
        return [*sorted([self.ward.series[0], self.ward.others[0]])]

    @property
    def other(self) -> list[object]:
        """The series of the other person that is put into copies."""
        return [self.ward.others[0]]


@pytest.fixture
def copies(office: Office) -> Copies:
    """An erased person and another one."""
    return Copies(office)


PARTS = {
    "a table": ("CREATE TABLE vv.copied (LIKE vv.observations)", "vv.copied"),
    "a table of an older order of columns": (
        "CREATE TABLE vv.copied (flags smallint, value real, series_id integer, time timestamptz)",
        "vv.copied",
    ),
    "a table of another schema": (
        "CREATE SCHEMA older; CREATE TABLE older.copied (LIKE vv.observations)",
        "older.copied",
    ),
    "a partitioned table": (
        f"CREATE TABLE vv.copied ({_COLUMNS}) PARTITION BY RANGE (time);"
        " CREATE TABLE vv.copied_1 PARTITION OF vv.copied DEFAULT",
        "vv.copied",
    ),
    "a table that others inherit from": (
        f"CREATE TABLE vv.copied ({_COLUMNS}); CREATE TABLE vv.heir () INHERITS (vv.copied)",
        "vv.copied",
    ),
    "a table that inherits": (
        f"CREATE TABLE vv.old ({_COLUMNS}); CREATE TABLE vv.copied () INHERITS (vv.old)",
        "vv.copied",
    ),
}
"""Relations with exactly the columns of trust's tables, and the place of the copied rows."""


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_ours_is_erased_again_wherever_it_hangs(copies: Copies, part: str) -> None:
    """
    Rows of the erased person in a detached or attached part are deleted; those of others
    remain.
    """
    statements, place = PARTS[part]
    copies.make(statements, place=place)

    found = copies.ward.office.app.verifier.run()

    assert (found.erased_again, found.failed) == ([copies.number], {})
    assert copies.held(place) == copies.other
    assert copies.ward.office.app.verifier.run().back == {}
    assert copies.ward.stored_of_other() == copies.others


def test_a_hypertable_beside_ours_is_erased_again(copies: Copies) -> None:
    """
    A hypertable beside trust's own is erased again, although its chunks are in the same
    schema.
    """
    if copies.ward.telemetry.variant != "timescale":
        pytest.skip("there are no hypertables")
    copies.make(f"CREATE TABLE vv.copied ({_COLUMNS})")
    copies.ward.telemetry.execute("GRANT CREATE ON SCHEMA vv TO vv_owner")
    copies.make("SELECT public.create_hypertable('vv.copied', 'time')", place="vv.copied")

    found = copies.ward.office.app.verifier.run()

    assert (found.erased_again, found.failed) == ([copies.number], {})
    assert copies.held("vv.copied") == copies.other


def test_a_materialized_view_is_calculated_again(copies: Copies) -> None:
    """
    A materialized view is refreshed after its tables were erased, because its rows cannot be
    deleted.
    """
    copies.make("CREATE TABLE vv.copied (LIKE vv.observations)", place="vv.copied")
    copies.make("CREATE MATERIALIZED VIEW vv.seen AS SELECT series_id, value FROM vv.copied")
    assert copies.held("vv.seen") == copies.both

    found = copies.ward.office.app.verifier.run()

    assert (found.erased_again, found.failed) == ([copies.number], {})
    assert copies.held("vv.seen") == copies.other


def test_a_materialized_view_that_was_never_filled_is_no_table_to_look_at(copies: Copies) -> None:
    """A materialized view without data is skipped, because reading it is an error."""
    copies.make("CREATE MATERIALIZED VIEW vv.empty AS SELECT 1 AS series_id WITH NO DATA")

    found = copies.ward.office.app.verifier.run()

    assert (found.not_looked_at, found.unread) == (0, [])


KEPT = {
    "a table with a column of its own": (
        f"CREATE TABLE vv.notes ({_COLUMNS}, note text)",
        "vv.notes",
    ),
    "a table that lacks one of ours": (
        "CREATE TABLE vv.notes (time timestamptz, series_id integer, flags smallint)",
        "vv.notes",
    ),
    "a table with a column of another type": (
        "CREATE TABLE vv.notes"
        " (time timestamptz, series_id integer, value numeric, flags smallint)",
        "vv.notes",
    ),
}
"""Foreign tables with a column of the same name."""


@pytest.mark.parametrize("kind", KEPT)
def test_a_table_of_somebodys_own_is_told_by_name_and_kept(copies: Copies, kind: str) -> None:
    """A table that trust does not own is reported by name, and its rows are kept."""
    statements, place = KEPT[kind]
    copies.make(statements)
    copies.ward.telemetry.execute(
        f"INSERT INTO {place} (time, series_id, flags) SELECT now(), unnest(%s::integer[]), 0",
        copies.both,
    )

    found = copies.ward.office.app.verifier.run()

    assert copies.held(place) == copies.both
    assert list(found.failed) == [copies.number]
    assert place in found.failed[int(str(copies.number))]
    assert found.erased_again == []


def test_a_part_that_cannot_be_changed_keeps_no_other(copies: Copies) -> None:
    """A part that cannot be changed is reported by name, and the other parts are erased again."""
    for place in ("vv.a", "vv.b", "vv.c"):
        copies.make(f"CREATE TABLE {place} (LIKE vv.observations)", place=place)
    copies.make(
        "CREATE FUNCTION vv.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
        " CREATE TRIGGER refuse BEFORE DELETE ON vv.b FOR EACH ROW EXECUTE FUNCTION vv.refuse()"
    )

    found = copies.ward.office.app.verifier.run()

    assert [copies.held(place) for place in ("vv.a", "vv.b", "vv.c")] == [
        copies.other,
        copies.both,
        copies.other,
    ]
    assert "vv.b" in found.failed[int(str(copies.number))]
    assert "vv.a" not in found.failed[int(str(copies.number))]


def test_rows_on_another_server_are_told_by_name(copies: Copies) -> None:
    """Tables on another server are reported by name, and neither read nor changed."""
    copies.ward.telemetry.execute(
        "CREATE FOREIGN DATA WRAPPER away; CREATE SERVER away FOREIGN DATA WRAPPER away;"
        f" CREATE FOREIGN TABLE vv.away ({_COLUMNS}) SERVER away;"
        " ALTER FOREIGN TABLE vv.away OWNER TO vv_owner"
    )

    found = copies.ward.office.app.verifier.run()

    assert (found.not_looked_at, found.unread) == (1, ["vv.away"])
    told = copies.ward.office.run("erase", "verify")
    assert any("vv.away" in str(problem) for problem in told["problems"])


def test_no_certificate_while_a_table_that_is_not_ours_holds_rows(
    office: Office,
) -> None:
    """
    No certificate is issued while a foreign table has rows; afterwards the same command completes
    the erasure.
    """
    ward = Ward(office, days=2)
    ward.telemetry.execute(
        f"SET ROLE vv_owner; CREATE TABLE vv.notes ({_COLUMNS}, note text); RESET ROLE"
    )
    ward.telemetry.execute("INSERT INTO vv.notes VALUES (now(), %s, 1, 0)", ward.series[0])

    with pytest.raises(Refusal, match=r"vv\.notes"):
        ward.erase()

    ward.telemetry.execute("DROP TABLE vv.notes")
    assert ward.erase()["number"] == 1
