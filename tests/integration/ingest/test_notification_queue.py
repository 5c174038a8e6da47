"""A full notification queue, which any role of any database of the server can cause."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from simulators.stack.broker import Mosquitto
from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database, create_database, programs
from tests.fixtures.ingest import Agent, heart_rate, make_world, metric, now_ms, until
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office, create_vault, make_office, measured
from tests.support.databases.servers import alter, ask
from tests.support.seed_permissions import Seed, sow

pytestmark = [pytest.mark.database, pytest.mark.broker, pytest.mark.slow]

_SMALLEST = "64"
"""The pages of the queue; the server accepts no smaller number."""
_TELL = f"NOTIFY anything, '{'x' * 7900}'"
"""The statement NOTIFY, and not the function: it needs no privilege that could be revoked."""
_NOTIFYING = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('vv', 'vault') AND p.prosrc ~* 'pg_notify|\\mnotify\\M'
"""


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[Postgres]:
    """A separate server, because the queue belongs to it, with the smallest possible queue."""
    made = Postgres(folder=run_folder / "notifying", programs=programs())
    made.start()
    try:
        if int(str(ask(made, "SHOW server_version_num"))) < 170_000:
            pytest.skip("before PostgreSQL 17 the queue has 8 GB")
        alter(made, max_notify_queue_pages=_SMALLEST)
        made.stop()
        made.start()
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def full_queue(database: Database, role: str) -> Iterator[None]:
    """
    Fill the queue as *role*: one session listens in an open transaction, another one
    notifies.
    """
    with (
        psycopg.connect(database.dsn(role)) as listening,
        psycopg.connect(database.dsn(role), autocommit=True) as telling,
    ):
        # A session can lift a limit that is preset for its role.
        listening.execute("SET idle_in_transaction_session_timeout = 0")
        listening.execute("LISTEN anything")
        listening.commit()
        listening.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="queue"):
            _tell(telling, 1000)
        yield
        with pytest.raises(psycopg.OperationalError, match="queue"):
            _tell(telling, 1)


@pytest.fixture
def office(server: Postgres, tmp_path: Path) -> Iterator[Office]:
    """Trust on that server."""
    made = make_office(create_vault(server, tmp_path), create_database(server), tmp_path)
    yield made
    made.app.close()


def test_nothing_of_ours_notifies(office: Office) -> None:
    """
    No function of either database notifies, because its COMMIT would then depend on the
    queue.
    """
    assert office.telemetry.fetch(_NOTIFYING) == []
    assert office.vault.fetch(_NOTIFYING) == []


def test_every_change_succeeds_beside_a_full_queue(office: Office) -> None:
    """Enrolment, consent, restriction, withdrawal and erasure succeed while the queue is full."""
    with full_queue(office.telemetry, "vv_grafana"):
        subject, agent = measured(office)
        office.accept(subject, agent, "--quantities", "heart_rate", binding="C0:FF:EE:00:00:02")
        withdrawn = office.withdraw(subject)
        office.accept(subject, agent, "--quantities", "heart_rate")
        office.run("restrict", subject)
        office.run("erase", subject, "--scope", "all", "--yes")
    assert withdrawn["withdrawn_at"]
    assert office.telemetry.fetch("SELECT count(*) FROM vv.permissions") == [(0,)]


async def test_rows_stop_beside_a_full_queue(
    server: Postgres, broker: Mosquitto, certificates: Certificates, tmp_path: Path
) -> None:
    """
    While the queue is full, a running ingest learns of a withdrawal at once and stores no further
    row of it.
    """
    database = create_database(server)
    seed = Seed()
    sow(database, seed)
    world = make_world(broker, database, certificates, tmp_path)
    async with world.running() as app, world.agent(seed.agent) as agent:
        await _send(agent, seed)
        await until(lambda: metric(app, "envelopes_total", outcome="stored") == 1)
        with full_queue(database, "vv_grafana"):
            epoch = await asyncio.to_thread(_withdraw, database)
            await until(lambda: app.permissions.epoch >= epoch, timeout_s=1.0)
            for _ in range(3):
                await _send(agent, seed)
            await until(lambda: metric(app, "envelopes_total", outcome="refused") == 3)
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(1,)]


def _tell(connection: psycopg.Connection, times: int) -> None:
    for _ in range(times):
        connection.execute(_TELL.encode())


async def _send(agent: Agent, seed: Seed) -> None:
    await agent.publish(agent.seal(heart_rate(70, handle=seed.handle, start_ms=now_ms() - 1000)))


def _withdraw(database: Database) -> int:
    with psycopg.connect(database.dsn("vv_trust")) as connection:
        row = connection.execute("SELECT vv.next_epoch()").fetchone()
        assert row is not None
        connection.execute(
            "UPDATE vv.permissions SET withdrawn_at = clock_timestamp(), changed_epoch = %s", row
        )
        return int(row[0])
