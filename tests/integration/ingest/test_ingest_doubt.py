"""A COMMIT whose answer ingest never got, and a server that crashed or failed over meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.errors import Unavailable
from ingest.values.outcome import Outcome
from simulators.stack.postgres import Postgres
from tests.fakes.ingest import block, opened
from tests.fixtures.database import Database, create_database
from tests.integration.ingest.test_ingest_store import never, plan_of, store_at
from tests.support.databases import servers
from tests.support.seed_permissions import Seed, sow

pytestmark = [pytest.mark.database, pytest.mark.slow]

_WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_ROWS = "SELECT count(*) FROM vv.observations"


@pytest.fixture
def server(run_folder: Path, postgres: Postgres, tmp_path: Path) -> Iterator[Postgres]:
    """A server for this test alone."""
    made = Postgres(run_folder / f"doubt-{tmp_path.name}", programs=postgres.programs)
    made.start()
    yield made
    made.stop()


def _use_ids(server: Postgres, database: Database) -> None:
    """Let other transactions commit, which get the next transaction ids."""
    for _ in range(3):
        with psycopg.connect(server.dsn(database.name)) as connection:
            connection.execute("UPDATE vv.permission_gate SET cleared_at = cleared_at")


async def test_a_crash_gives_the_same_id_again(server: Postgres) -> None:
    """
    A flush whose server died before COMMIT is written again, although another transaction has its
    id now.
    """
    database = create_database(server)
    plan = plan_of(opened(block(70, 71)), epoch=sow(database, Seed()))
    store = store_at(database.dsn("vv_ingest"))
    await store.open()
    connection = store._connection
    assert connection is not None
    commit = connection.commit

    async def cut() -> None:
        if store._doubt is not None:
            server.kill()
        await commit()

    connection.commit = cut  # type: ignore[method-assign] # a cut at the worst
    with pytest.raises(Unavailable):
        await store.flush(plan, watermarks=[], replan=never)
    server.start()
    _use_ids(server, database)

    stored = await store.flush(plan, watermarks=[], replan=never)

    assert stored.fates == [(Outcome.STORED, None)]
    assert database.fetch(_ROWS) == [(2,)]
    await store.close()


async def test_what_no_standby_has_is_not_acknowledged(
    server: Postgres, run_folder: Path, tmp_path: Path
) -> None:
    """
    A flush that no standby has received is not acknowledged, because its COMMIT may
    still be lost.
    """
    database = create_database(server)
    folder = run_folder / f"follows-{tmp_path.name}"
    servers.alter(server, synchronous_standby_names="*")
    standby = servers.copy(server, folder, "--write-recovery-conf")
    standby.start()
    plan = plan_of(opened(block(70, 71)), epoch=sow(database, Seed()))
    store = store_at(database.dsn("vv_ingest"))
    store._timeout_s = 2.0
    await store.open()
    standby.stop()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await store.flush(plan, watermarks=[], replan=never)
    store._timeout_s = 30.0
    again = asyncio.create_task(store.flush(plan, watermarks=[], replan=never))
    while not database.fetch(_WAITS):
        assert not again.done()
        await asyncio.sleep(0.05)
    standby.start()
    try:
        (fate,) = (await again).fates
        assert fate[0] in (Outcome.STORED, Outcome.DUPLICATE)
        assert Database(standby, database.name, database.variant).fetch(_ROWS) == [(2,)]
        await store.close()
    finally:
        standby.stop()
