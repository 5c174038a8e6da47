"""Erasure while somebody may still read what is erased: true in the files, or refused with why."""

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
from tests.acceptance.test_erasure import Ward, at
from tests.fixtures.database import create_database
from tests.fixtures.vault import Refusal, make_office
from tests.support import servers
from tests.support.residue import checkpoint, found_in, names_of, rows_of
from trust.erasure.horizon import Horizon, SnapshotHolder

# Every file of a server is searched, beside three other files of tests.
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
    """Two people with two days of observations, and little patience."""
    office = make_office(server, create_database(server), tmp_path)
    be_patient(office.app, 0.6)
    yield Ward(office, days=2)
    office.app.close()


def be_patient(app: Any, seconds: float) -> None:
    """Have *app* wait so long for transactions that may still read what is erased."""
    erasure = msgspec.structs.replace(app.settings.erasure, snapshot_wait_s=seconds)
    app.settings = msgspec.structs.replace(app.settings, erasure=erasure)


class Needles:
    """What must be in no file."""

    def __init__(self, ward: Ward) -> None:
        self._ward = ward
        self._needles = names_of(ward.office, ward.subject)
        self._needles |= rows_of(ward.telemetry, ward.series)

    def found(self) -> dict[str, set[str]]:
        """Return which are in a file, and in which."""
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
    """Leave a logical slot that nobody reads."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('left', 'pgoutput')")
        yield
        connection.execute("SELECT pg_drop_replication_slot('left')")


@contextlib.contextmanager
def standby(server: Postgres, database: str, folder: Path, *, slot: bool) -> Iterator[None]:
    """Let somebody read on a standby that says so to the first server."""
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
    """Keep a pg_dump in the middle of its work."""
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
    """Keep the rows of a query that is over, in a file of its own."""
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
        "a logical replication slot that nobody reads",
    ),
    "logical slot elsewhere": (
        lambda w, _: logical_slot(w.telemetry.server.dsn(ELSEWHERE)),
        "a logical replication slot that nobody reads",
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
    """No certificate while it is held, a sentence that says by what; afterwards it goes on."""
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
    """A dashboard that was left open holds up nobody's erasure; the certificate counts it."""
    needles = Needles(ward)
    # Without the limit that is preset for its role, and that may end the session first.
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
    """Also one that reads nothing any more, and only has a lock that a rewrite waits for."""
    with contextlib.closing(psycopg.connect(ward.telemetry.dsn("vv_grafana"))) as session:
        session.execute("SELECT count(*) FROM vv.ops_permissions")

        assert ward.erase()["number"] == 1


def test_a_snapshot_in_another_database_holds_nothing(ward: Ward) -> None:
    """It cannot read these tables, and is not waited for."""
    needles = Needles(ward)
    with transaction(ward.telemetry.server.dsn(ELSEWHERE), "SELECT 1"):
        certificate = ward.erase()

        assert needles.found() == {}
    looked = certificate["looked"]
    assert isinstance(looked, dict)
    assert looked["telemetry"]["waited_ms"] < 100


def test_what_ends_in_time_is_waited_for(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that ends by itself delays the certificate, and makes nothing untrue."""
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
    """Handed from one session to another between two looks, it is refused after the rewrite."""
    needles = Needles(ward)
    with monkeypatch.context() as patch, transaction(ward.telemetry.dsn("vv_owner"), "SELECT 1"):
        patch.setattr(Horizon, "holders", lambda horizon, limit: [])

        with pytest.raises(Refusal, match="something that this role cannot see"):
            ward.erase()

        assert needles.found(), "the rewrite took nothing along: this test shows nothing"

    ward.erase()
    assert needles.found() == {}


def test_a_certificate_says_what_was_looked_at(ward: Ward) -> None:
    """Relations, horizon and surroundings of both databases, and where nobody could look."""
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
    """What began after the deletion reads nothing of it: only what is older is waited for."""
    limit = ward.telemetry.fetch("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0][0]
    with (
        prepared(ward.telemetry.dsn()),
        psycopg.connect(ward.telemetry.dsn("vv_owner"), autocommit=True) as connection,
    ):
        horizon = Horizon(connection, patience_s=0)

        assert horizon.holders(int(str(limit))) == []
        ward.telemetry.execute("CREATE TABLE public.later ()")
        assert [held.kind for held in horizon.holders(horizon.limit())] == ["prepared"]
