"""A full notification queue, which any role of any database of the server can fill."""

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
from tests.fixtures.vault import Office, make_office, measured
from tests.support.seed_permissions import Seed, sow
from tests.support.servers import alter, ask

pytestmark = [pytest.mark.database, pytest.mark.broker, pytest.mark.slow]

_SMALLEST = "64"
"""Pages of the queue; the server takes no fewer."""
_TELL = f"NOTIFY anything, '{'x' * 7900}'"
"""The statement, not the function: it needs no grant that could be revoked."""
_NOTIFYING = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('vv', 'vault') AND p.prosrc ~* 'pg_notify|\\mnotify\\M'
"""


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[Postgres]:
    """A server of its own, because its queue is: with the smallest queue that there is."""
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
    """Fill the queue as *role*: one session listens in an open transaction, another tells."""
    with (
        psycopg.connect(database.dsn(role)) as listening,
        psycopg.connect(database.dsn(role), autocommit=True) as telling,
    ):
        # A limit that is preset for a role is one that its session may lift.
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
    made = make_office(server, create_database(server), tmp_path)
    yield made
    made.app.close()


def test_nothing_of_ours_notifies(office: Office) -> None:
    """No function of either database notifies: its COMMIT would depend on the queue."""
    assert office.telemetry.fetch(_NOTIFYING) == []
    assert office.vault.fetch(_NOTIFYING) == []


def test_every_change_succeeds_beside_a_full_queue(office: Office) -> None:
    """People are enrolled, consent, restrict, withdraw and are erased as if it were empty."""
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
    """A running ingest knows of the withdrawal at once, and stores nothing more of its scope."""
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
