"""Ingest with a database that may have been restored from a backup."""

import asyncio

import pytest

from tests.fixtures.ingest import World, until
from tests.support.seed_permissions import Seed, sow

pytestmark = [pytest.mark.broker, pytest.mark.database]


async def test_waits_until_trust_has_looked(world: World) -> None:
    """
    Until trust has cleared the database, ingest takes nothing from the broker and is not
    ready.
    """
    from ingest.app import App

    sow(world.database, Seed())
    world.database.execute("SELECT vv.clear_erasures('{}')")
    # As after a restart: the clearance is older than this start of the server.
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
