"""Two gateways measure one person in one interval, and the first reading may not be stored."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from psycopg import Connection

from tests.fixtures.ingest import World, heart_rate, is_conserved, metric, now_ms, until
from tests.support.seed_permissions import Seed, change, sow
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.database]
_MINUTE = (Rule(Code.HEART_RATE, interval_ms=60_000),)
HOME = Seed(rules=_MINUTE)
WORK = Seed(agent="fedcba9876543210", handle=b"w" * 16, rules=_MINUTE)
_WAITING = """
SELECT FROM pg_stat_activity
WHERE usename = 'vv_ingest' AND datname = current_database() AND wait_event_type = 'Lock'
"""
_POISON, _GENUINE = 99, 70


@contextlib.contextmanager
def held(world: World) -> Iterator[tuple[Connection, int]]:
    """Block every flush until the context closes."""
    with change(world.database) as (connection, epoch):
        yield connection, epoch


@pytest.mark.parametrize("fault", ["poison", "revoked", "stored"])
@pytest.mark.parametrize("has_newer", [False, True], ids=["in order", "late"])
async def test_reading_is_not_lost_to_one_that_is_not_stored(
    world: World, fault: str, has_newer: bool
) -> None:
    """
    The second gateway's reading waits for the first's, and is refused only if the first
    is stored.
    """
    sow(world.database, HOME, WORK)
    world.database.execute(f"ALTER TABLE vv.observations ADD CHECK (value <> {_POISON})")
    start_ms = now_ms() // 60_000 * 60_000 - 600_000
    async with (
        world.agent(HOME.agent) as home,
        world.agent(WORK.agent) as work,
        world.running() as app,
    ):
        if has_newer:
            newer = heart_rate(60, handle=WORK.handle, start_ms=start_ms + 300_000)
            await work.publish(work.seal(newer))
            await until(lambda: work.settled(1))
        with held(world) as (connection, epoch):
            value = _POISON if fault == "poison" else 71
            await home.publish(home.seal(heart_rate(value, start_ms=start_ms)))
            await until(lambda: bool(world.database.fetch(_WAITING)))
            second = heart_rate(_GENUINE, handle=WORK.handle, start_ms=start_ms + 1000)
            await work.publish(work.seal(second))
            await until(lambda: metric(app, "received_envelopes_total") == 2 + has_newer)
            # Longer than the age at which a batch is decided.
            await asyncio.sleep(0.3)
            assert not work.settled(1 + has_newer)
            if fault == "revoked":
                connection.execute(
                    "UPDATE vv.agents SET revoked_at = now(), changed_epoch = %s WHERE agent = %s",
                    [epoch, HOME.agent],
                )
        await until(lambda: work.settled(1 + has_newer))
        await until(lambda: is_conserved(app))
    values = world.database.fetch("SELECT value FROM vv.observations WHERE value <> 60")
    assert values == [(71.0 if fault == "stored" else float(_GENUINE),)]
