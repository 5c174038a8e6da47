"""Trust's daemon notices waiting leases by polling, without notifications."""

import asyncio

import pytest

from tests.fixtures.vault import Office, measured
from trust.errors import VaultUnavailable
from trust.vault.vault import Listener, listen

pytestmark = pytest.mark.database

_PUBLISH = "UPDATE vault.agents SET published_version = lease_version"
_LEASE = "UPDATE vault.agents SET lease_version = lease_version + 1"
_END_LISTENER = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = 'vv_trust' AND datname = current_database() AND pid <> pg_backend_pid()
"""


async def _returns_at_once(listener: Listener) -> bool:
    """Tell whether the wait returns long before its time-out."""
    try:
        async with asyncio.timeout(1.0):
            await listener.heard(timeout_s=30.0)
    except TimeoutError:
        return False
    return True


async def test_new_leases_are_seen_at_once(office: Office) -> None:
    """A new waiting lease ends the wait; so does the next version of the same lease."""
    measured(office)
    async with listen(office.settings.vault) as listener:
        assert await _returns_at_once(listener)
        office.vault.execute(_LEASE)
        assert await _returns_at_once(listener)


async def test_leases_that_cannot_be_published_do_not_keep_it_busy(office: Office) -> None:
    """Leases that were seen before and still wait, or wait no longer, do not end the wait."""
    measured(office)
    async with listen(office.settings.vault) as listener:
        assert await _returns_at_once(listener)
        assert not await _returns_at_once(listener)
        office.vault.execute(_PUBLISH)
        assert not await _returns_at_once(listener)
        office.vault.execute(_LEASE)
        assert await _returns_at_once(listener)


async def test_a_wait_ends_in_time(office: Office) -> None:
    """
    Without new leases the wait lasts exactly its time; with a time of zero there is one
    query.
    """
    clock = asyncio.get_running_loop().time
    async with listen(office.settings.vault) as listener:
        started = clock()
        await listener.heard(timeout_s=0.3)
        assert 0.3 <= clock() - started < 2.0
        measured(office)
        started = clock()
        await listener.heard(timeout_s=0)
        assert clock() - started < 2.0


async def test_a_session_that_was_ended_is_said(office: Office) -> None:
    """If the session is ended, the wait fails, so that the daemon connects again."""
    async with listen(office.settings.vault) as listener:
        waiting = asyncio.create_task(listener.heard(timeout_s=30.0))
        office.vault.execute(_END_LISTENER)
        with pytest.raises(VaultUnavailable):
            await waiting
