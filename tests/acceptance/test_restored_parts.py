"""
Parts of a database that were restored are recognised, whichever part it is, and erased
again.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from simulators.stack.postgres import Postgres
from tests.acceptance.test_erasure_snapshots import transaction
from tests.fixtures.database import create_database
from tests.fixtures.vault import Refusal, create_vault, make_office
from tests.support.databases import servers
from tests.support.databases.residue import checkpoint, found_in, names_of, rows_of
from tests.support.ward import OTHER, Ward, at, may_store
from trust.errors import TelemetryUnavailable
from trust.telemetry.erasure import Stores

# Every file of a server is searched, while at most three other test files run.
pytestmark = [pytest.mark.database, pytest.mark.slow, pytest.mark.timeout(500)]


@pytest.fixture(scope="module")
def server(run_folder: Path, postgres: Postgres) -> Iterator[Postgres]:
    """A server for these tests alone, because all its files are searched for byte patterns."""
    made = Postgres(folder=run_folder / "restored-parts", programs=postgres.programs)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def ward(server: Postgres, tmp_path: Path) -> Iterator[Ward]:
    """Two people with two days of observations, in a database that ingest may write to."""
    office = make_office(
        create_vault(server, tmp_path), create_database(server), tmp_path, snapshot_wait_s=0.6
    )
    made = Ward(office, days=2)
    office.run("erase", "replay")
    yield made
    office.app.close()
    for database in (made.telemetry, office.vault):
        database.drop()


class Saved:
    """Parts of the databases before an erasure, to be put back afterwards."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self.needles = names_of(ward.office, ward.subject) | rows_of(ward.telemetry, ward.series)
        self._folder = servers.own(ward.telemetry.server.folder / "dumps", ward.telemetry.server)

    def save(self, *tables: str) -> Callable[[], None]:
        """
        Dump the rows of *tables*; return a function that restores them, as a data-only restore
        does.
        """
        server = self.ward.telemetry.server
        where = ("--host", "127.0.0.1", "--port", str(server.port), "--username", "postgres")
        name = self.ward.telemetry.name
        file = str(self._folder / f"{name}-{'-'.join(tables)}".replace("*", ""))
        chosen = [f"--table={table}" for table in tables]
        servers.run(server, "pg_dump", *where, "--data-only", "--format=custom",
                    f"--file={file}", *chosen, name)  # fmt: skip

        def restore() -> None:
            for table in tables:
                self.ward.telemetry.execute(f"TRUNCATE {table}")
            servers.run(server, "pg_restore", *where, "--data-only", "--dbname", name, file)

        return restore

    def is_on_disk(self) -> dict[str, set[str]]:
        """Return the patterns that are in files of the server."""
        checkpoint(self.ward.telemetry.server)
        data = [self.ward.telemetry.server.data]
        return at(self.ward.telemetry, found_in(data, self.needles))


def part_of(ward: Ward, table: str) -> str:
    """Return a partition or chunk of *table* that has rows of the person."""
    rows = ward.telemetry.fetch(
        f"SELECT tableoid::regclass::text FROM {table} WHERE series_id = ANY(%s) LIMIT 1",  # noqa: S608
        ward.series,
    )
    return str(rows[0][0])


def _rows(ward: Ward, saved: Saved, table: str) -> Callable[[], None]:
    """
    Return a function that restores one part of *table*: from its dump, or the person's rows of a
    chunk.
    """
    if ward.telemetry.variant != "timescale":
        return saved.save(part_of(ward, table))
    ward.telemetry.execute(
        f"CREATE TABLE public.saved AS SELECT * FROM {table} WHERE series_id = ANY(%s)",  # noqa: S608
        ward.series,
    )

    def restore() -> None:
        ward.telemetry.execute(f"INSERT INTO {table} SELECT * FROM public.saved")  # noqa: S608
        ward.telemetry.execute("DROP TABLE public.saved")

    return restore


def _partition(ward: Ward, saved: Saved) -> Callable[[], None]:
    return _rows(ward, saved, "vv.observations")


def _aggregates(ward: Ward, saved: Saved) -> Callable[[], None]:
    place = ward.telemetry.fetch("SELECT place FROM vv.aggregate_tables() ORDER BY place LIMIT 1")
    return _rows(ward, saved, str(place[0][0]))


def _of_hers(table: str, key: str) -> Callable[[Ward, Saved], Callable[[], None]]:
    """
    Return a function that restores the person's rows of *table*, as if only that table were
    restored.
    """

    def save(ward: Ward, saved: Saved) -> Callable[[], None]:
        database = ward.office.vault if table.startswith("vault.") else ward.telemetry
        values = [ward.subject] if key == "subject" else ward.series
        database.execute(
            f"CREATE TABLE public.saved AS SELECT * FROM {table} WHERE {key}::text = ANY(%s)",  # noqa: S608
            [str(value) for value in values],
        )

        def restore() -> None:
            with psycopg.connect(database.dsn(), autocommit=True) as connection:
                connection.execute("SET session_replication_role = 'replica'")
                connection.execute(
                    f"DELETE FROM {table} WHERE {key}::text IN"  # noqa: S608
                    f" (SELECT {key}::text FROM public.saved)".encode()
                )
                override = "OVERRIDING SYSTEM VALUE" if table == "vv.series" else ""
                connection.execute(
                    f"INSERT INTO {table} {override} SELECT * FROM public.saved".encode()  # noqa: S608
                )
                connection.execute("DROP TABLE public.saved")

        return restore

    return save


PARTS: dict[str, tuple[Callable[[Ward, Saved], Callable[[], None]], str]] = {
    "a partition": (_partition, "rows"),
    "aggregates": (_aggregates, "rows"),
    "series": (_of_hers("vv.series", "series_id"), "names"),
    "permissions": (_of_hers("vv.permissions", "series_id"), "names"),
    "handles of the vault": (_of_hers("vault.handles", "subject"), "vault handles"),
    "the identity": (_of_hers("vault.subjects", "subject"), "vault identity"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_came_back_is_erased_again(ward: Ward, part: str) -> None:
    """Any restored part alone is found, reported, erased again, and removed from the files."""
    saved = Saved(ward)
    save, where = PARTS[part]
    others = ward.stored_of_other()
    restore = save(ward, saved)
    ward.erase()
    restore()
    assert may_store(ward.telemetry), "a part does not tell by itself that it was restored"

    with pytest.raises(Refusal, match=where):
        ward.office.run("erase", "verify", "1")
    looked = ward.office.run("erase", "verify")
    assert any(where in place for place in looked["back"][1])
    assert looked["problems"]

    found = ward.office.app.verifier.run()

    assert found.erased_again == [1]
    assert (found.failed, found.not_rewritten, found.unknown_series) == ({}, 0, 0)
    assert saved.is_on_disk() == {}
    (again,) = ward.office.run("erase", "certificate", "1")["found_again"]
    assert any(where in place for place in again["where"])
    assert again["files_rewritten"]
    assert ward.office.run("erase", "verify", "1")["residue"] == 0
    assert ward.office.app.verifier.run().erased_again == []
    assert ward.stored_of_other() == others
    assert may_store(ward.telemetry)


def test_a_partition_that_was_detached_is_looked_at_all_the_same(ward: Ward) -> None:
    """
    A detached partition or a copy beside it is checked as well, because it may be
    attached again.
    """
    if ward.telemetry.variant == "timescale":
        pytest.skip("chunks are not detached")
    saved = Saved(ward)
    part = part_of(ward, "vv.observations")
    ward.telemetry.execute(f"ALTER TABLE vv.observations DETACH PARTITION {part}")
    ward.telemetry.execute(
        "SET ROLE vv_owner; CREATE TABLE vv.copied AS SELECT * FROM vv.aggregates_1h; RESET ROLE"
    )

    assert ward.erase()["number"] == 1

    assert saved.is_on_disk() == {}
    left = ward.telemetry.fetch(f"SELECT DISTINCT series_id FROM {part} ORDER BY 1")  # noqa: S608
    assert [n for (n,) in left] == ward.others


def test_a_copy_of_another_owner_is_told_and_not_touched(ward: Ward) -> None:
    """
    A copy that another role owns is reported and not touched, because its triggers would run with
    trust's rights.
    """
    ward.erase()
    ward.telemetry.execute("CREATE TABLE public.theirs (series_id integer)")
    ward.telemetry.execute("INSERT INTO public.theirs VALUES (%s)", ward.series[0])

    found = ward.office.app.verifier.run()

    assert (found.not_looked_at, found.erased_again) == (1, [])
    assert ward.telemetry.fetch("SELECT count(*) FROM public.theirs") == [(1,)]


def test_a_database_that_claims_to_have_seen_every_erasure_is_not_believed(ward: Ward) -> None:
    """
    A database restored with a newer list of erasures is not trusted: the restored pseudonyms
    reveal it.
    """
    telemetry, office = ward.telemetry, ward.office
    restores = [
        _of_hers("vv.series", "series_id")(ward, Saved(ward)),
    ]
    ward.erase()
    for restore in restores:
        restore()
    telemetry.execute("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")
    assert telemetry.fetch("SELECT number FROM vv.erasures") == [(1,)]

    office.app.reconciler.check()

    assert may_store(telemetry)
    assert telemetry.fetch(
        "SELECT count(*) FROM vv.series WHERE series_id = ANY(%s)", ward.series
    ) == [(0,)]


def test_who_agreed_again_is_not_erased_again(ward: Ward) -> None:
    """
    Rows under a new consent are kept, although the pseudonym is the same as before the
    erasure.
    """
    ward.erase("home-monitoring")
    ward.office.accept(ward.subject, ward.agent, binding="C0:FF:EE:00:00:09")
    before = ward.telemetry.fetch("SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL")

    assert ward.office.app.verifier.run().back == {}
    assert ward.office.run("erase", "verify", "1")["residue"] == 0
    ward.telemetry.execute("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")
    ward.office.app.reconciler.check()

    now = ward.telemetry.fetch("SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL")
    assert now == before


def test_rows_of_somebody_whose_name_was_lost_are_kept(ward: Ward) -> None:
    """
    Rows whose pseudonyms are missing are reported and not deleted, because an operator may be
    restoring the pseudonyms.
    """
    ward.erase()
    rows = "SELECT count(*) FROM vv.observations"
    before = ward.telemetry.fetch(rows)
    with psycopg.connect(ward.telemetry.dsn(), autocommit=True) as connection:
        connection.execute("SET session_replication_role = 'replica'")
        connection.execute("DELETE FROM vv.series")

    found = ward.office.app.verifier.run()

    assert (found.unknown_series, found.erased_again) == (len(ward.others), [])
    assert ward.telemetry.fetch(rows) == before


def _two_are_erased(ward: Ward) -> None:
    office = ward.office
    third = office.add_subject("Cy")
    office.accept(third, ward.agent, binding=OTHER.replace("02", "03"))
    restores = []
    for subject, number in ((ward.subject, 1), (third, 2)):
        office.telemetry.execute(
            f"CREATE TABLE public.saved_{number} AS SELECT * FROM vv.series"  # noqa: S608
        )
        office.run("erase", subject, "--scope", "all", "--yes")
        restores.append(number)
    for number in restores:
        office.telemetry.execute(
            "INSERT INTO vv.series OVERRIDING SYSTEM VALUE"  # noqa: S608
            f" SELECT * FROM public.saved_{number} ON CONFLICT DO NOTHING"
        )
        office.telemetry.execute(f"DROP TABLE public.saved_{number}")


def test_one_that_fails_holds_up_no_other(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An erasure that cannot be repeated does not prevent the repetition of another; both are
    reported.
    """
    _two_are_erased(ward)
    erase_names, failing = Stores.erase_names, [1]

    def erase(stores: Stores, *args: object, **options: object) -> object:
        if options["numbers"] == failing:
            raise TelemetryUnavailable("a page is damaged")
        return erase_names(stores, *args, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(Stores, "erase_names", erase)

    found = ward.office.app.verifier.run()

    assert found.erased_again == [2]
    assert list(found.failed) == [1]
    monkeypatch.setattr(Stores, "erase_names", erase_names)
    assert ward.office.app.verifier.run().erased_again == [1]


def test_one_that_was_tampered_with_holds_up_no_other(ward: Ward) -> None:
    """An erasure whose record does not verify in the vault is repeated from the ledger's file."""
    _two_are_erased(ward)
    ward.office.vault.execute(
        "UPDATE vault.erasure_steps SET signature = '' WHERE number = 1 AND step = 'mark'"
    )

    found = ward.office.app.verifier.run()

    assert found.tampered == [1]
    assert found.erased_again == [1, 2]


def test_what_is_held_back_is_rewritten_later(ward: Ward) -> None:
    """
    Rows that a session can still read are deleted at once; their files are rewritten after that
    session ends.
    """
    saved = Saved(ward)
    restore = _partition(ward, saved)
    ward.erase()
    restore()

    with transaction(ward.telemetry.dsn("vv_owner"), "SELECT 1"):
        found = ward.office.app.verifier.run()
        assert (found.erased_again, found.not_rewritten) == ([1], 1)
        with pytest.raises(Refusal, match="files that are still to be rewritten"):
            ward.office.run("erase", "verify", "1")

    assert ward.office.app.verifier.run().not_rewritten == 0
    assert saved.is_on_disk() == {}
