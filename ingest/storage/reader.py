"""The reader of permissions: all of them at the start, then the changes of each new epoch."""

import asyncio
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from psycopg import AsyncConnection

from ingest.admission.permissions import AGENT, LEASE, PERMISSION, Changes, Table
from ingest.errors import StoreError, Unavailable
from ingest.storage.database import connect, mapped_errors
from ingest.storage.queries import QUERIES
from runtime.backoff import Backoff
from runtime.logs import Log

_LOOK_EVERY_S: Final = 0.04
"""
How long between two looks at the epoch. No change is notified: while the server's notification
queue is full, that would have the COMMIT of a withdrawal fail (docs/decisions/0018).
"""
_ANSWER_WITHIN_S: Final = 5.0
"""A look that takes longer: the connection is taken for dead."""
_PURGE_EVERY_S = 3600.0
_PURGE_WITHIN_S = 60.0
"""How long emptying the quarantine may take; what is left is for the next time."""
_CLEARED_S = 0.1
_TELL_EVERY = 300
_ROWS_AT_ONCE = 50_000
_GATE: Final = np.dtype([("epoch", ">i8"), ("forgotten_epoch", ">i8")])
_KINDS: Final = {"gate": _GATE, "agents": AGENT, "leases": LEASE, "permissions": PERMISSION}
_log = Log("ingest.storage.reader")


async def read_changes(connection: AsyncConnection, *, since: int | None) -> Changes:
    """
    Return the permissions that changed after epoch *since*, or all of them.

    What changed is read in one round trip, because a flush waits for it. All of them are returned
    also when some that changed since are not there any more.
    """
    if since is not None:
        async with connection.cursor(binary=True) as cursor:
            # Planned anew each time: for what is new a plan for anything would read the tables.
            await cursor.execute(QUERIES["changes"], {"since": since}, prepare=False)
            found = _Found()
            found.take(await cursor.fetchall())
        if found.forgotten_epoch <= since:
            return found.changes(since=since)
    found = _Found()
    async with connection.cursor("changes", binary=True) as cursor:
        await cursor.execute(QUERIES["changes"], {"since": -1})
        # Some thousands at a time: there are millions.
        while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
            found.take(rows)
    return found.changes(since=None)


class _Found:
    """What the query of changes returned."""

    def __init__(self) -> None:
        self._parts: dict[str, list[bytes]] = {kind: [] for kind in _KINDS}

    def take(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Take over the next of its rows."""
        for kind, group in itertools.groupby(rows, operator.itemgetter(0)):
            self._parts[kind].append(b"".join([packed for _, packed in group]))

    @property
    def forgotten_epoch(self) -> int:
        """Up to which epoch there were changes that are not there any more."""
        return int(self._table("gate")["forgotten_epoch"][0])

    def changes(self, *, since: int | None) -> Changes:
        """Return all of it, which is what changed after epoch *since*, or everything."""
        return Changes(
            int(self._table("gate")["epoch"][0]),
            is_complete=since is None,
            since=-1 if since is None else since,
            agents=self._table("agents"),
            leases=self._table("leases"),
            permissions=self._table("permissions"),
        )

    def _table(self, kind: str) -> Table:
        return np.frombuffer(b"".join(self._parts[kind]), dtype=_KINDS[kind])


class PermissionReader:
    """
    Keeps permissions fresh over a connection of its own; also empties the quarantine in time, over
    another one: a purge that waits for a lock has no look at the epoch wait.

    Args:
        conninfo: What to connect with.

        apply: Takes over what changed; returns the epoch that is known now.

        backoff: How long to wait before the next attempt.
    """

    def __init__(
        self, conninfo: str, *, apply: Callable[[Changes], int], backoff: Backoff
    ) -> None:
        self._conninfo = conninfo
        self._apply = apply
        self._backoff = backoff
        self._purge_at = 0.0
        self._purging: asyncio.Task[None] | None = None
        self.is_live = False
        self.on_change: Callable[[bool], None] = lambda is_live: None
        """Told whenever `is_live` changes."""

    async def run(self) -> None:
        """
        Follow the permissions until cancelled.

        Raises:
            StoreError: The database is not what it should be.
        """
        try:
            while True:
                try:
                    async with mapped_errors():
                        await self._follow()
                except Unavailable as error:
                    _log.warning("permissions_unreachable", error=error.cause)
                finally:
                    self._set_live(False)
                await asyncio.sleep(self._backoff.failed())
        finally:
            if self._purging is not None:
                self._purging.cancel()

    async def _follow(self) -> None:
        async with await connect(self._conninfo, autocommit=True) as connection:
            await self._until_cleared(connection)
            # Everything: what changed while it was not connected may have been deleted altogether.
            known = await self._read(connection, None)
            self._backoff.succeeded()
            self._set_live(True)
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                # Many people may withdraw between two looks: their changes are read together.
                if await _epoch(connection) != known:
                    known = await self._read(connection, known)
                self._purge_in_time()

    async def _until_cleared(self, connection: AsyncConnection) -> None:
        """
        Return once trust has looked at this database since it was started or restored.

        A backup holds again what was erased after it was made. Nothing can be stored until then
        (`vv.hold_permissions` refuses), so nothing is taken from the broker, either.
        """
        waits = 0
        while True:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                cursor = await connection.execute(QUERIES["is_cleared"])
                is_cleared = await cursor.fetchone() == (True,)
            if is_cleared:
                return
            if waits % _TELL_EVERY == 0:
                _log.warning("not_cleared", mend="vitalveil trust run, or trust erase replay")
            waits += 1
            await asyncio.sleep(_CLEARED_S)

    async def _read(self, connection: AsyncConnection, since: int | None) -> int:
        async with connection.transaction():
            changes = await read_changes(connection, since=since)
        if since is not None and changes.epoch < since:
            # The database went back in time under us: begin anew.
            return await self._read(connection, None)
        epoch = self._apply(changes)
        if epoch != since:
            _log.info("permissions_applied", epoch=epoch)
        return epoch

    def _purge_in_time(self) -> None:
        """Have the quarantine emptied when it is time, unless that is still being done."""
        now = asyncio.get_running_loop().time()
        if now >= self._purge_at and (self._purging is None or self._purging.done()):
            self._purge_at = now + _PURGE_EVERY_S
            self._purging = asyncio.create_task(_purge(self._conninfo), name="purge")

    def _set_live(self, is_live: bool) -> None:
        if is_live != self.is_live:
            self.is_live = is_live
            self.on_change(is_live)


async def _epoch(connection: AsyncConnection) -> int:
    """
    Return the epoch of the permissions in the database.

    Raises:
        TimeoutError: The server does not answer.
    """
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        cursor = await connection.execute(QUERIES["epoch"])
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the gate has one row
    return int(row[0])


async def _purge(conninfo: str) -> None:
    """Delete what has lain in quarantine for long enough; what fails is tried the next time."""
    try:
        async with (
            mapped_errors(),
            asyncio.timeout(_PURGE_WITHIN_S),
            await connect(conninfo, autocommit=True) as connection,
        ):
            cursor = await connection.execute(QUERIES["purge_quarantine"])
    except StoreError as error:
        _log.warning("quarantine_not_purged", error=error.cause)
        return
    if cursor.rowcount:
        _log.info("quarantine_purged", envelopes=cursor.rowcount)
