"""Permissions that begin, change and end while ingest runs hold from then on."""

import datetime as dt

import msgspec
import psycopg
import pytest

from tests.fixtures.ingest import (
    World,
    heart_rate,
    is_conserved,
    metric,
    settled,
    until,
)
from tests.support.seed_permissions import Seed, change, sow
from tests.support.stored_rows import rows

pytestmark = [pytest.mark.broker, pytest.mark.database]
SEED = Seed()


async def test_withdrawal_excludes_a_flush_in_flight(world: World) -> None:
    """A flush that meets an uncommitted withdrawal waits for it, and then stores nothing."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        with change(world.database) as (connection, epoch):
            connection.execute(
                "UPDATE vv.permissions SET withdrawn_at = clock_timestamp(), changed_epoch = %s",
                [epoch],
            )
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: _waits_for_lock(world))
            assert not agent.settled(1)
        await until(lambda: agent.settled(1))
        assert metric(app, "refused_envelopes_total", reason="withdrawn") == 1
        assert rows(world) == 0


def _waits_for_lock(world: World) -> bool:
    with psycopg.connect(world.database.dsn(), autocommit=True) as connection:
        return connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is not None


async def test_enrolment_on_the_way_is_not_refused(world: World) -> None:
    """An agent that was unknown when its envelope came and is known at COMMIT has it stored."""
    async with world.running() as app, world.agent(SEED.agent) as agent:
        with psycopg.connect(world.database.dsn()) as gate:
            gate.execute("LOCK TABLE vv.permission_gate IN EXCLUSIVE MODE")
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: _waits_for_lock(world))
            gate.execute("SELECT vv.change_permissions()")
            gate.execute("INSERT INTO vv.agents VALUES (%s, 'sealed', NULL, 1)", [SEED.agent])
        await until(lambda: settled(app) == 1)
        assert metric(app, "refused_envelopes_total", reason="unknown_handle") == 1


async def test_permission_that_ends_while_a_flush_waits_is_obeyed(world: World) -> None:
    """Permissions are checked at COMMIT, and not only when the flush was planned."""
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    sow(world.database, msgspec.structs.replace(SEED, valid_to=end))
    async with world.running() as app, world.agent(SEED.agent) as agent:
        with psycopg.connect(world.database.dsn()) as gate:
            gate.execute("LOCK TABLE vv.permission_gate IN EXCLUSIVE MODE")
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: _waits_for_lock(world))
            assert dt.datetime.now(dt.UTC) < end
            await until(lambda: dt.datetime.now(dt.UTC) > end)
        await until(lambda: agent.settled(1))
        assert metric(app, "refused_envelopes_total", reason="outside_period") == 1
        assert rows(world) == 0


async def test_who_is_revoked_is_refused_on_a_live_connection(world: World) -> None:
    """
    Envelopes of a live connection are refused after the COMMIT of a revocation, and counted as
    such.
    """
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        with change(world.database) as (connection, epoch):
            connection.execute(
                "UPDATE vv.agents SET revoked_at = clock_timestamp(), changed_epoch = %s", [epoch]
            )
        for _ in range(20):
            await agent.publish(agent.seal(heart_rate(71)))
        await until(lambda: metric(app, "refused_envelopes_total", reason="agent_revoked") == 20)
        assert rows(world) == 1
        assert not agent.settled(2), "no receipt: its spool is the evidence"
        assert is_conserved(app)


async def test_who_expires_is_refused_on_a_live_connection(world: World) -> None:
    """
    Envelopes of a connection that outlives its certificate are refused without a receipt, and
    stored after the certificate is renewed.
    """
    sow(world.database, SEED)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1.5)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        with change(world.database) as (connection, epoch):
            connection.execute(
                "UPDATE vv.agents SET expires_at = %s, changed_epoch = %s", [end, epoch]
            )
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        await until(lambda: dt.datetime.now(dt.UTC) > end)
        payload = agent.seal(heart_rate(71))
        await agent.publish(payload)
        await until(lambda: metric(app, "refused_envelopes_total", reason="agent_expired") == 1)
        assert rows(world) == 1
        with change(world.database) as (connection, epoch):
            connection.execute(
                "UPDATE vv.agents SET expires_at = NULL, changed_epoch = %s", [epoch]
            )
        await agent.publish(payload)
        await until(lambda: agent.settled(2))
        assert rows(world) == 2
