"""Ingest while servers fail: nothing is lost, doubled, or acknowledged too early."""

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.app import App
from simulators.stack.broker import Mosquitto
from simulators.stack.postgres import Postgres
from tests.fixtures.database import create_database, programs
from tests.fixtures.ingest import (
    Agent,
    World,
    heart_rate,
    is_conserved,
    make_world,
    metric,
    settled,
    until,
)
from tests.fixtures.pki import Certificates
from tests.support.seed_permissions import Seed, sow, withdraw

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]
SEED = Seed()


def stored(world: World) -> list[tuple[object, ...]]:
    """Return how many observations there are, and how many of them the ledger counts."""
    return world.database.fetch(
        "SELECT (SELECT count(*) FROM vv.observations),"
        " (SELECT coalesce(sum(observations), 0)::bigint FROM vv.envelopes)"
    )


async def send(agent: Agent, count: int, *, every_s: float = 0.005) -> list[bytes]:
    """Publish *count* envelopes of one observation each; return them."""
    sent = []
    for value in range(count):
        sent.append(agent.seal(heart_rate(60 + value % 100)))
        await agent.publish(sent[-1])
        await asyncio.sleep(every_s)
    return sent


async def _keep_sending(agent: Agent, enough: asyncio.Event) -> None:
    """Publish until *enough* is set."""
    while not enough.is_set():
        await send(agent, 1)


def _has_settled(app: App, count: int) -> bool:
    return settled(app) > count


@pytest.fixture
def falling(run_folder: Path, tmp_path: Path) -> Iterator[Postgres]:
    """
    A server for this test alone.

    Recovery reads every file of every database, and the shared server has hundreds of databases.
    """
    server = Postgres(folder=run_folder / f"falling-{tmp_path.name}", programs=programs())
    server.start()
    yield server
    # The server ended with the thread of the test that started it last.
    server.kill()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_database_restarts_under_load(
    broker: Mosquitto, falling: Postgres, certificates: Certificates, tmp_path: Path, how: str
) -> None:
    """
    While the database is stopped nothing is acknowledged; afterwards every observation is stored
    once.
    """
    world = make_world(broker, create_database(falling), certificates, tmp_path)
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        enough = asyncio.Event()
        # The agent never pauses, so that there is always an envelope to store when the database
        # stops.
        sending = asyncio.create_task(_keep_sending(agent, enough))
        for _ in range(2):
            await until(functools.partial(_has_settled, app, settled(app) + 20))
            await asyncio.to_thread(falling.stop if how == "stop" else falling.kill)
            await until(lambda: "database" in app.missing() and "permissions" in app.missing())
            await asyncio.to_thread(falling.start)
            # A checkpoint or a recovery takes long on a busy disk.
            await until(lambda: not list(app.missing()), timeout_s=90)
        enough.set()
        await sending
        sent = agent.sequence
        await until(lambda: agent.all_settled(sent), timeout_s=60)
        assert stored(world) == [(sent, sent)]
        # The fate of every COMMIT without an answer is determined: no envelope counts as a
        # duplicate.
        assert metric(app, "envelopes_total", outcome="stored") == sent
        assert is_conserved(app)


async def test_broker_restarts_under_load(world: World) -> None:
    """
    When the broker restarts, an agent that repeats envelopes without a receipt loses and doubles
    nothing.
    """
    sow(world.database, SEED)
    async with world.running() as app:
        async with world.agent(SEED.agent) as agent:
            sent = await send(agent, 100, every_s=0)
        await asyncio.to_thread(world.broker.kill)
        await until(lambda: "broker" in app.missing())
        world.broker.start()
        await until(lambda: not list(app.missing()))
        async with world.agent(SEED.agent) as again:
            again.spool_id = agent.spool_id
            for payload in sent:
                await again.publish(payload)
            await until(lambda: again.all_settled(100))
        assert stored(world) == [(100, 100)]
        await until(lambda: is_conserved(app))


async def test_wiped_broker_is_told_again(world: World) -> None:
    """
    Receipts that a wiped broker has lost are published again when the agent repeats its
    envelopes.
    """
    sow(world.database, SEED)
    async with world.running() as app:
        async with world.agent(SEED.agent) as agent:
            sent = await send(agent, 50, every_s=0)
            await until(lambda: agent.all_settled(50))
        await asyncio.to_thread(world.broker.kill)
        world.broker.wipe()
        await until(lambda: "broker" in app.missing())
        world.broker.start()
        await until(lambda: not list(app.missing()))
        async with world.agent(SEED.agent) as again:
            again.spool_id = agent.spool_id
            await asyncio.sleep(0.2)
            assert not again.settled(1)
            await again.publish(sent[7])
            await until(lambda: again.all_settled(50))
        assert stored(world) == [(50, 50)]
        assert metric(app, "envelopes_total", outcome="duplicate") == 1


async def test_restarted_ingest_remembers_what_is_settled(world: World) -> None:
    """
    The first receipt after a restart of ingest covers all envelopes that were settled
    before.
    """
    sow(world.database, SEED)
    async with world.agent(SEED.agent) as agent:
        async with world.running():
            await send(agent, 150, every_s=0.001)
            await until(lambda: agent.all_settled(150))
        agent.sequence += 1
        async with world.running():
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: agent.settled(152))
        assert (agent.told[0].through, agent.told[0].ranges) == (
            150,
            [(152, 152)],
        )


async def test_withdrawal_under_load_is_the_last_word(world: World) -> None:
    """After the COMMIT of a withdrawal under load no row of its handle appears."""
    sow(world.database, SEED)
    async with world.running(), world.agent(SEED.agent) as agent:
        sending = asyncio.create_task(send(agent, 300, every_s=0.002))
        await until(lambda: agent.all_settled(50))
        await asyncio.to_thread(withdraw, world.database, SEED.handle)
        at_commit = stored(world)
        await sending
        await until(lambda: agent.all_settled(300))
        assert stored(world) == at_commit
