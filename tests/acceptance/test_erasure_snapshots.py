"""
Erasure while another session may still read the data: it is complete in the files, or refused with
the reason.
"""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import IsolationLevel

from simulators.stack.postgres import Postgres
from tests.fixtures.database import create_database
from tests.fixtures.vault import Refusal, create_vault, make_office
from tests.support.databases import servers
from tests.support.databases.residue import checkpoint, found_in, names_of, rows_of
from tests.support.ward import Ward, at
from trust.erasure.horizon import Horizon, SnapshotHolder

# Every file of a server is searched, while at most three other test files run.
pytestmark = [pytest.mark.database, pytest.mark.slow, pytest.mark.timeout(500)]

ELSEWHERE = "elsewhere"
"""Another database of the same server."""


@pytest.fixture(scope="module")
def server(run_folder: Path, postgres: Postgres) -> Iterator[Postgres]:
    """A server with prepared transactions and logical replication."""
    made = Postgres(folder=run_folder / "snapshots", programs=postgres.programs)
    made.start()
    servers.alter(made, wal_level="logical", max_prepared_transactions="5")
    made.stop()
    made.start()
    with psycopg.connect(made.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {ELSEWHERE}".encode())
    yield made
    made.stop()


@pytest.fixture
def ward(server: Postgres, tmp_path: Path) -> Iterator[Ward]:
    """Two people with two days of observations, and a short patience for other sessions."""
    office = make_office(
        create_vault(server, tmp_path), create_database(server), tmp_path, snapshot_wait_s=0.6
    )
    yield Ward(office, days=2)
    office.app.close()
    # The files of all databases of the server are searched.
    for database in (office.telemetry, office.vault):
        database.drop()


def be_patient(app: Any, seconds: float) -> None:
    """Make *app* wait at most this long for transactions that may still read erased data."""
    erasure = msgspec.structs.replace(app.settings.erasure, snapshot_wait_s=seconds)
    app.settings = msgspec.structs.replace(app.settings, erasure=erasure)


class Needles:
    """Byte patterns that no file may contain."""

    def __init__(self, ward: Ward) -> None:
        self._ward = ward
        self._needles = names_of(ward.office, ward.subject)
        self._needles |= rows_of(ward.telemetry, ward.series)

    def found(self) -> dict[str, set[str]]:
        """Return the patterns that were found, each with its file."""
        checkpoint(self._ward.telemetry.server)
        data = [self._ward.telemetry.server.data]
        return at(self._ward.telemetry, found_in(data, self._needles))


@contextlib.contextmanager
def transaction(dsn: str, *statements: str) -> Iterator[psycopg.Connection]:
    """Leave a repeatable-read transaction open after *statements*."""
    connection = psycopg.connect(dsn)
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def prepared(dsn: str) -> Iterator[None]:
    """Leave a prepared transaction behind."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE public.waiting ()")
        connection.execute("PREPARE TRANSACTION 'waiting'")
    yield
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ROLLBACK PREPARED 'waiting'")


@contextlib.contextmanager
def logical_slot(dsn: str) -> Iterator[None]:
    """Leave a logical replication slot that no client reads."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('left', 'pgoutput')")
        yield
        connection.execute("SELECT pg_drop_replication_slot('left')")


@contextlib.contextmanager
def standby(server: Postgres, database: str, folder: Path, *, slot: bool) -> Iterator[None]:
    """
    Run a query on a standby with hot_standby_feedback, which tells the first server
    about it.
    """
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if slot:
            connection.execute("SELECT pg_create_physical_replication_slot('follows')")
        more = ["--write-recovery-conf", *(["--slot", "follows"] if slot else [])]
        follower = servers.copy(server, folder, *more)
        with (follower.data / "postgresql.auto.conf").open("a") as file:
            file.write("hot_standby_feedback = on\nwal_receiver_status_interval = 1\n")
        follower.start()
        try:
            with transaction(follower.dsn(database), "SELECT 1 FROM vv.series"):
                seen = (
                    "SELECT bool_or(xmin IS NOT NULL) FROM pg_replication_slots"
                    if slot
                    else "SELECT bool_or(backend_xmin IS NOT NULL) FROM pg_stat_replication"
                )
                servers.until(server, seen)
                yield
        finally:
            follower.stop()
            if slot:
                servers.until(server, "SELECT bool_and(NOT active) FROM pg_replication_slots")
                connection.execute("SELECT pg_drop_replication_slot('follows')")


@contextlib.contextmanager
def dump(server: Postgres, database: str, folder: Path) -> Iterator[None]:
    """Stop a pg_dump in the middle of its work."""
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.last ()")
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE public.last IN ACCESS EXCLUSIVE MODE")
        assert server.programs is not None
        process = subprocess.Popen(
            [str(server.programs / "pg_dump"), "--dbname", server.dsn(database)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
            servers.until(server, waits)
            yield
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def cursor_with_hold(dsn: str) -> Iterator[None]:
    """Keep the rows of a finished query in a temporary file (a cursor WITH HOLD)."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET work_mem = '64kB'")
        connection.execute("BEGIN")
        connection.execute(
            "DECLARE kept CURSOR WITH HOLD FOR"
            " SELECT * FROM vv.observations, generate_series(1, 9)"
        )
        connection.execute("COMMIT")
        yield


HELD: dict[str, tuple[Callable[[Ward, Path], contextlib.AbstractContextManager[object]], str]] = {
    "trust": (
        lambda w, _: transaction(w.telemetry.dsn("vv_trust"), "SELECT 1"),
        "a transaction of the role vv_trust",
    ),
    "ingest": (
        lambda w, _: transaction(w.telemetry.dsn("vv_ingest"), "SELECT 1"),
        "a transaction of the role vv_ingest",
    ),
    "owner": (
        lambda w, _: transaction(w.telemetry.dsn("vv_owner"), "SELECT 1"),
        r"a transaction of the role vv_owner, open for \d+ s",
    ),
    "in the vault": (
        lambda w, _: transaction(w.office.vault.dsn("vv_trust"), "SELECT 1"),
        "a transaction of the role vv_trust",
    ),
    "writes elsewhere": (
        lambda w, _: transaction(w.telemetry.server.dsn(ELSEWHERE), "SELECT txid_current()"),
        "a transaction in another database",
    ),
    "prepared": (lambda w, _: prepared(w.telemetry.dsn()), "a prepared transaction"),
    "prepared elsewhere": (
        lambda w, _: prepared(w.telemetry.server.dsn(ELSEWHERE)),
        "a prepared transaction",
    ),
    "logical slot": (
        lambda w, _: logical_slot(w.telemetry.dsn()),
        "a logical replication slot without a reader",
    ),
    "logical slot elsewhere": (
        lambda w, _: logical_slot(w.telemetry.server.dsn(ELSEWHERE)),
        "a logical replication slot without a reader",
    ),
    "standby": (
        lambda w, folder: standby(w.telemetry.server, w.telemetry.name, folder, slot=False),
        "a standby with hot_standby_feedback",
    ),
    "standby with a slot": (
        lambda w, folder: standby(w.telemetry.server, w.telemetry.name, folder, slot=True),
        "a physical replication slot",
    ),
    "dump": (
        lambda w, folder: dump(w.telemetry.server, w.telemetry.name, folder),
        "a pg_dump of the role postgres",
    ),
    "cursor with hold": (
        lambda w, _: cursor_with_hold(w.telemetry.dsn()),
        "a temporary file, as of a cursor WITH HOLD of the role postgres",
    ),
}


@pytest.mark.parametrize("what", HELD)
def test_is_refused_while_something_may_still_read_it(
    ward: Ward, what: str, run_folder: Path, tmp_path: Path
) -> None:
    """
    While a session can still read the data, the erasure is refused with the name of the obstacle;
    afterwards it completes.
    """
    held, said = HELD[what]
    needles = Needles(ward)

    with held(ward, run_folder / f"standby-{tmp_path.name}"):
        with pytest.raises(Refusal, match=said) as refused:
            ward.erase()
        assert "goes on where it stopped" in str(refused.value)
        assert ward.office.vault.fetch(
            "SELECT count(*) FROM vault.erasure_steps WHERE step = 'certify'"
        ) == [(0,)]

    certificate = ward.erase()
    assert certificate["number"] == 1
    assert needles.found() == {}


@pytest.mark.parametrize("role", ["vv_grafana", "vv_reader"])
def test_sessions_of_dashboards_are_ended(ward: Ward, role: str) -> None:
    """
    An idle session of a dashboard does not delay an erasure; it is ended, and the certificate
    counts it.
    """
    needles = Needles(ward)
    # Without the role's preset time limit, which might end the session first.
    no_limit = " options='-c idle_in_transaction_session_timeout=0'"
    with transaction(ward.telemetry.dsn(role) + no_limit, "SELECT 1") as session:
        certificate = ward.erase()

        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    looked = certificate["looked"]
    assert isinstance(looked, dict)
    assert looked["telemetry"]["sessions_ended"] == 1
    assert needles.found() == {}


def test_a_dashboard_that_locks_a_table_is_ended(ward: Ward) -> None:
    """A dashboard's session that only holds a lock which the rewrite needs is ended as well."""
    with contextlib.closing(psycopg.connect(ward.telemetry.dsn("vv_grafana"))) as session:
        session.execute("SELECT count(*) FROM vv.ops_permissions")

        assert ward.erase()["number"] == 1


def test_a_snapshot_in_another_database_holds_nothing(ward: Ward) -> None:
    """
    A snapshot in another database does not delay an erasure, because it cannot read
    these tables.
    """
    needles = Needles(ward)
    with transaction(ward.telemetry.server.dsn(ELSEWHERE), "SELECT 1"):
        certificate = ward.erase()

        assert needles.found() == {}
    looked = certificate["looked"]
    assert isinstance(looked, dict)
    assert looked["telemetry"]["waited_ms"] < 100


def test_what_ends_in_time_is_waited_for(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure waits for a transaction that ends in time, and its certificate is true."""
    needles = Needles(ward)
    be_patient(ward.office.app, 60)
    holders = Horizon.holders
    seen = threading.Event()

    with transaction(ward.telemetry.dsn("vv_owner"), "SELECT 1") as session:

        def look(horizon: Horizon, limit: int) -> list[SnapshotHolder]:
            found = holders(horizon, limit)
            if found and not seen.is_set():
                seen.set()
                session.close()
            return found

        monkeypatch.setattr(Horizon, "holders", look)
        ward.erase()

    assert seen.is_set()
    assert needles.found() == {}


def test_a_snapshot_that_no_look_shows_is_seen_in_the_table(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A snapshot that two sessions pass on between two checks is detected after the rewrite, and the
    erasure is refused.
    """
    needles = Needles(ward)
    with monkeypatch.context() as patch, transaction(ward.telemetry.dsn("vv_owner"), "SELECT 1"):
        patch.setattr(Horizon, "holders", lambda horizon, limit: [])

        with pytest.raises(Refusal, match="something that this role cannot see"):
            ward.erase()

        assert needles.found(), "the rewrite took nothing along: this test shows nothing"

    ward.erase()
    assert needles.found() == {}


def test_a_certificate_says_what_was_looked_at(ward: Ward) -> None:
    """
    A certificate lists the checked relations, the horizon and the environment of both databases,
    and what could not be checked.
    """
    with psycopg.connect(ward.telemetry.dsn("vv_owner")) as session:
        session.execute("CREATE TEMPORARY TABLE copied AS SELECT * FROM vv.observations")
        session.commit()

        certificate = ward.erase()

    looked = certificate["looked"]
    assert isinstance(looked, dict)
    assert set(looked) == {"telemetry", "vault"}
    rewritten = looked["telemetry"]["relations"]
    assert {"vv.permissions", "vv.series", "vv.quarantine"} < set(rewritten)
    assert len(rewritten) > 5
    assert int(looked["telemetry"]["horizon"]) > 0
    assert looked["telemetry"]["sessions_with_temporary_tables"] == 1
    remains = certificate["remains"]
    assert isinstance(remains, list)
    assert "temporary tables of 1 sessions" in {one["where"] for one in remains}
    assert "free space of the file system" in {one["where"] for one in remains}


def test_a_prepared_transaction_of_after_is_no_obstacle(ward: Ward) -> None:
    """
    A prepared transaction that began after the deletion does not prevent the rewrite; only older
    ones do.
    """
    limit = ward.telemetry.fetch("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0][0]
    with (
        prepared(ward.telemetry.dsn()),
        psycopg.connect(ward.telemetry.dsn("vv_owner"), autocommit=True) as connection,
    ):
        horizon = Horizon(connection, patience_s=0)

        assert horizon.holders(int(str(limit))) == []
        ward.telemetry.execute("CREATE TABLE public.later ()")
        assert [held.kind for held in horizon.holders(horizon.limit())] == ["prepared"]
