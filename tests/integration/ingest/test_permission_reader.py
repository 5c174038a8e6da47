"""The reader of permissions with a real database, which sends no notifications."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from ingest.admission.permissions import Changes, Permissions
from ingest.storage import reader as reader_module
from ingest.storage.reader import PermissionReader
from runtime.backoff import Backoff
from tests.fixtures.database import Database
from tests.fixtures.ingest import until
from tests.support.seed_permissions import Seed, sow

pytestmark = pytest.mark.database

_END_READER = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = 'vv_ingest' AND datname = current_database()
"""
_FORGET = """
DELETE FROM vv.permissions;
UPDATE vv.permission_gate SET epoch = epoch + 1, forgotten_epoch = epoch + 1
"""

_EXPIRED = """
INSERT INTO vv.quarantine
    (agent, spool_id, sequence, reason, digest, payload, received_at, expires_at)
VALUES ('0123456789abcdef', '\\x00112233445566778899aabbccddeeff', 1, 'bad_seal',
    '\\x00112233445566778899aabbccddeeff', '\\x00', now(), now() - interval '1 day')
"""
_IS_PURGE_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE usename = 'vv_ingest' AND datname = current_database() AND wait_event_type = 'Lock'
"""


class Reading:
    """A running reader, the permissions that it has read, and how often it has read everything."""

    def __init__(self, conninfo: str) -> None:
        self.permissions = Permissions()
        self.complete = 0
        self.reader = PermissionReader(
            conninfo,
            apply=self._apply,
            backoff=Backoff(random.Random(1).random, first_s=0.1, longest_s=0.1),
            on_change=lambda is_live: None,
        )

    def _apply(self, changes: Changes) -> int:
        self.permissions.apply(changes)
        self.complete += changes.is_complete
        return self.permissions.epoch


@contextlib.asynccontextmanager
async def reading(database: Database) -> AsyncIterator[Reading]:
    """Read the permissions of *database* while the context is open."""
    made = Reading(database.dsn("vv_ingest"))
    task = asyncio.create_task(made.reader.run())
    try:
        await until(lambda: made.reader.is_live)
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_changes_are_known_soon(database: Database) -> None:
    """A change is known within the promised 100 ms; a hundred changes are read in few queries."""
    sow(database, Seed())
    async with reading(database) as found:
        for number in range(1, 6):
            seed = Seed(handle=bytes([number]) * 16)
            epoch = await asyncio.to_thread(sow, database, seed)
            await until(lambda: found.permissions.epoch >= epoch, timeout_s=0.5)  # noqa: B023 - awaited here
        assert len(found.permissions) == 6
        assert found.complete == 1


async def test_reader_goes_on_after_its_session_was_ended(database: Database) -> None:
    """When its session is ended, the reader connects again and reads everything."""
    sow(database, Seed())
    async with reading(database) as found:
        await asyncio.to_thread(database.execute, _END_READER)
        await until(lambda: found.complete == 2 and found.reader.is_live)
        epoch = await asyncio.to_thread(sow, database, Seed(handle=bytes([9]) * 16))
        await until(lambda: found.permissions.epoch == epoch, timeout_s=5)


async def test_a_look_without_an_answer_is_a_dead_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    If a query is not answered because a session locks the table, the reader reports a dead
    connection.
    """
    monkeypatch.setattr(reader_module, "_ANSWER_WITHIN_S", 0.2)
    sow(database, Seed())
    async with reading(database) as found:
        with psycopg.connect(database.dsn()) as holding:
            holding.execute("LOCK TABLE vv.permission_gate IN ACCESS EXCLUSIVE MODE")
            await until(lambda: not found.reader.is_live)
        epoch = await asyncio.to_thread(sow, database, Seed(handle=bytes([9]) * 16))
        await until(lambda: found.permissions.epoch == epoch, timeout_s=5)


async def test_what_was_deleted_is_forgotten(database: Database) -> None:
    """Permissions that were deleted are noticed at the next query."""
    sow(database, Seed())
    async with reading(database) as found:
        assert len(found.permissions) == 1
        await asyncio.to_thread(database.execute, _FORGET)
        await until(lambda: found.complete == 2, timeout_s=5)
        assert len(found.permissions) == 0


async def test_purge_that_waits_for_a_lock_delays_no_permission(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge that waits for a lock does not delay changes of permissions, and runs afterwards."""
    monkeypatch.setattr(reader_module, "_PURGE_EVERY_S", 0.0)
    sow(database, Seed())
    database.execute(_EXPIRED)
    with psycopg.connect(database.dsn()) as holding:
        holding.execute("LOCK TABLE vv.quarantine IN ACCESS EXCLUSIVE MODE")
        async with reading(database) as found:
            await until(lambda: bool(database.fetch(_IS_PURGE_WAITING)))
            for number in range(1, 4):
                epoch = await asyncio.to_thread(sow, database, Seed(handle=bytes([number]) * 16))
                await until(lambda: found.permissions.epoch >= epoch, timeout_s=0.5)  # noqa: B023 - awaited here
            assert found.reader.is_live
            assert found.complete == 1
            holding.rollback()
            await until(lambda: not database.fetch("SELECT FROM vv.quarantine"))


async def test_purge_that_takes_too_long_is_given_up_and_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge that takes too long is cancelled and tried again, and only one runs at a time."""
    monkeypatch.setattr(reader_module, "_PURGE_EVERY_S", 0.0)
    monkeypatch.setattr(reader_module, "_PURGE_WITHIN_S", 0.3)
    sow(database, Seed())
    database.execute(_EXPIRED)
    with psycopg.connect(database.dsn()) as holding:
        holding.execute("LOCK TABLE vv.quarantine IN ACCESS EXCLUSIVE MODE")
        async with reading(database) as found:
            seen: set[object] = set()
            while len(seen) < 3:
                waiting = database.fetch(_IS_PURGE_WAITING)
                assert len(waiting) <= 1
                seen.update(waiting)
                await asyncio.sleep(0.05)
            assert found.reader.is_live
            assert found.complete == 1
            holding.rollback()
            await until(lambda: not database.fetch("SELECT FROM vv.quarantine"))
