"""Ingest and a database that may be a restored one."""

import asyncio

import pytest

from tests.fixtures.ingest import World, until
from tests.support.seed_permissions import Seed, sow

pytestmark = [pytest.mark.broker, pytest.mark.database]


async def test_waits_until_trust_has_looked(world: World) -> None:
    """Nothing is taken from the broker, and /readyz says so, until the database is cleared."""
    from ingest.app import App

    sow(world.database, Seed())
    world.database.execute("SELECT vv.clear_erasures('{}')")
    # As after a restart: the word was given before this start of the server.
    world.database.execute("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")
    app, stop = App(world.settings), asyncio.Event()
    running = asyncio.create_task(app.run(stop, on_port=lambda port: None))
    try:
        await asyncio.sleep(0.5)
        assert "permissions" in app.missing()
        assert "broker" in app.missing()

        world.database.execute("SELECT vv.clear_erasures('{}')")

        await until(lambda: not list(app.missing()))
    finally:
        stop.set()
        await running
