"""
A pooler between a program and its database: dropped settings are set again, or the connection is
refused.
"""

import asyncio

import pytest

from ingest.errors import Unusable
from ingest.storage.database import connect as connect_ingest
from runtime.database import postgres
from runtime.errors import SessionRefused
from tests.fixtures.database import Database
from tests.support.databases.poolers import Manners, Pooler
from tests.support.databases.presets import REPAIRED, preset

pytestmark = pytest.mark.database

_TWO = "SELECT current_setting('DateStyle'), current_setting('synchronous_commit')"
_HARMLESS = {
    name: value
    for name, value in REPAIRED.items()
    # The pooler's own sessions would end before their use, or it could not read its client.
    if not name.endswith("_timeout") and name != "client_encoding"
}


def _dsn(pooler: Pooler, database: Database) -> str:
    return (
        f"host=127.0.0.1 port={pooler.port} dbname={database.name} user=vv_ingest"
        " sslmode=disable gssencmode=disable"
    )


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses settings", "drops settings"])
async def test_pooler_of_sessions_is_repaired(database: Database, refuses: bool) -> None:
    """
    A pooler for sessions that refuses or drops start-up settings works: they are set afterwards
    and stay.
    """
    with preset([database], _HARMLESS):
        async with Pooler(database.dsn("vv_ingest"), Manners(refuses)).running() as pooler:
            connection = await postgres.connect_async(_dsn(pooler, database))
            async with connection:
                for _ in range(3):
                    cursor = await connection.execute(_TWO)
                    assert await cursor.fetchone() == ("ISO, YMD", "on")
            assert (pooler.refused > 0) is refuses


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "in turns"])
async def test_pooler_of_transactions_is_refused(database: Database, newest_first: bool) -> None:
    """
    A pooler for transactions is refused, even if it lends a single client the same session each
    time.
    """
    manners = Manners(shares=True, newest_first=newest_first)
    async with Pooler(database.dsn("vv_ingest"), manners).running() as pooler:
        with pytest.raises(SessionRefused, match="configure the pooler for session mode"):
            await postgres.connect_async(_dsn(pooler, database))
        with pytest.raises(SessionRefused, match="configure the pooler for session mode"):
            (await asyncio.to_thread(postgres.connect, _dsn(pooler, database))).close()
        with pytest.raises(Unusable, match="configure the pooler for session mode"):
            await connect_ingest(_dsn(pooler, database), autocommit=True)


async def test_pooler_of_transactions_does_not_hide_a_setting(database: Database) -> None:
    """A connection is refused if a setting of one session is missing in the next."""
    manners = Manners(shares=True, newest_first=False)
    with preset([database], _HARMLESS):
        async with Pooler(database.dsn("vv_ingest"), manners).running() as pooler:
            with pytest.raises(SessionRefused, match="pooler"):
                await postgres.connect_async(_dsn(pooler, database))


async def test_pooler_works_for_both_doors(database: Database) -> None:
    """Commands of trust work through a pooler for sessions, as the programs do."""
    async with Pooler(database.dsn("vv_ingest"), Manners()).running() as pooler:
        connection = await asyncio.to_thread(postgres.connect, _dsn(pooler, database))
        row = await asyncio.to_thread(
            lambda: connection.execute("SELECT count(*) FROM vv.permissions").fetchone()
        )
        assert row == (0,)
        await asyncio.to_thread(connection.close)
