"""Reads the permissions: all of them at the start, then the changes of each new epoch."""

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
from runtime.database import schema_state
from runtime.logs import Log
from schema import steps

_LOOK_EVERY_S: Final = 0.04
"""
Time between two queries of the epoch. The database does not use NOTIFY: when the server's
notification queue is full, the COMMIT of a withdrawal would fail (docs/decisions/0018).
"""
_ANSWER_WITHIN_S: Final = 5.0
"""If the epoch query takes longer, the connection is considered dead."""
_PURGE_EVERY_S = 3600.0
_PURGE_WITHIN_S = 60.0
"""Time limit for purging the quarantine; the next purge continues."""
_MIGRATED_S: Final = 1.0
"""Time between two queries whether the database is migrated."""
_LOG_EACH: Final = 60
"""Number of such queries between two log entries."""
_CLEARED_S = 0.1
"""Time between two queries whether trust has cleared the database."""
_LOG_EVERY = 300
"""Number of such queries between two log entries."""
_ROWS_AT_ONCE = 50_000
"""Rows fetched at once in a complete reading."""
_GATE: Final = np.dtype([("epoch", ">i8"), ("forgotten_epoch", ">i8")])
_KINDS: Final = {"gate": _GATE, "agents": AGENT, "leases": LEASE, "permissions": PERMISSION}
_log = Log("ingest.storage.reader")


async def read_changes(connection: AsyncConnection, *, since: int | None) -> Changes:
    """
    Return the permissions that changed after epoch *since*, or all of them for None.

    Changes are read in one round trip, because a flush waits for them. All permissions are also
    returned if some changes after *since* have been deleted from the database.
    """
    if since is not None:
        async with connection.cursor(binary=True) as cursor:
            # Not prepared: a generic plan would read the whole tables instead of the new rows.
            await cursor.execute(QUERIES["changes"], {"since": since}, prepare=False)
            found = _Found()
            found.take(await cursor.fetchall())
        if found.forgotten_epoch <= since:
            return found.changes(since=since)
    found = _Found()
    async with connection.cursor("changes", binary=True) as cursor:
        await cursor.execute(QUERIES["changes"], {"since": -1})
        # In parts, because there may be millions of rows.
        while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
            found.take(rows)
    return found.changes(since=None)


class _Found:
    """The rows that the query `changes` has returned, by kind."""

    def __init__(self) -> None:
        self._parts: dict[str, list[bytes]] = {kind: [] for kind in _KINDS}

    def take(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Add the next rows of the result."""
        for kind, group in itertools.groupby(rows, operator.itemgetter(0)):
            self._parts[kind].append(b"".join([packed for _, packed in group]))

    @property
    def forgotten_epoch(self) -> int:
        """The epoch up to which the database has deleted changes."""
        return int(self._table("gate")["forgotten_epoch"][0])

    def changes(self, *, since: int | None) -> Changes:
        """Return the rows as the changes after epoch *since*, or as all permissions for None."""
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
    Follows the permissions in the database, and purges the quarantine once an hour.

    Each has a connection of its own, so that a purge that waits for a lock does not delay the
    permissions.

    Args:
        conninfo: Connection string with the password.

        apply: Applies changes; returns the epoch that is known afterwards.

        backoff: Delays before a reconnect.

        on_change: Called each time `is_live` changes.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        apply: Callable[[Changes], int],
        backoff: Backoff,
        on_change: Callable[[bool], None],
    ) -> None:
        self._conninfo = conninfo
        self._apply = apply
        self._backoff = backoff
        self._on_change = on_change
        self._purge_at = 0.0
        self._purging: asyncio.Task[None] | None = None
        self.is_live = False

    async def run(self) -> None:
        """
        Follow the permissions until cancelled.

        Raises:
            StoreError: The database is set up wrongly.
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
            await self._until_migrated(connection)
            await self._until_cleared(connection)
            # A complete reading: changes made during the disconnection may have been deleted.
            known = await self._read(connection, None)
            self._backoff.succeeded()
            self._set_live(True)
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                # Changes of several epochs are read together.
                if await _epoch(connection) != known:
                    known = await self._read(connection, known)
                self._purge_in_time()

    async def _until_migrated(self, connection: AsyncConnection) -> None:
        """
        Wait until `vitalveil ingest migrate` has brought the schema to that of this software.

        Raises:
            TimeoutError: The server has not answered within `_ANSWER_WITHIN_S`.
        """
        waits = 0
        while True:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                status = schema_state.judge(
                    await schema_state.ask_async(connection), steps.telemetry_numbers()
                )
            cause = status.cause(command="vitalveil ingest migrate")
            if cause is not None and waits % _LOG_EACH == 0:
                _log.warning("schema", state=status.state.value, why=str(cause))
            if not status.must_wait:
                return
            waits += 1
            await asyncio.sleep(_MIGRATED_S)

    async def _until_cleared(self, connection: AsyncConnection) -> None:
        """
        Wait until trust has cleared this database since the database was started or restored.

        A restored backup holds data that was erased after the backup was made. Until trust has
        erased them again, `vv.hold_permissions` refuses and nothing can be stored; therefore
        nothing is taken from the broker either.
        """
        waits = 0
        while True:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                cursor = await connection.execute(QUERIES["is_cleared"])
                is_cleared = await cursor.fetchone() == (True,)
            if is_cleared:
                return
            if waits % _LOG_EVERY == 0:
                _log.warning("not_cleared", remedy="vitalveil trust run, or trust erase replay")
            waits += 1
            await asyncio.sleep(_CLEARED_S)

    async def _read(self, connection: AsyncConnection, since: int | None) -> int:
        async with connection.transaction():
            changes = await read_changes(connection, since=since)
        if since is not None and changes.epoch < since:
            # The database was restored to an earlier state: read all permissions.
            return await self._read(connection, None)
        epoch = self._apply(changes)
        if epoch != since:
            _log.info("permissions_applied", epoch=epoch)
        return epoch

    def _purge_in_time(self) -> None:
        """Start a purge of the quarantine if one is due and none is running."""
        now = asyncio.get_running_loop().time()
        if now >= self._purge_at and (self._purging is None or self._purging.done()):
            self._purge_at = now + _PURGE_EVERY_S
            self._purging = asyncio.create_task(_purge(self._conninfo), name="purge")

    def _set_live(self, is_live: bool) -> None:
        if is_live != self.is_live:
            self.is_live = is_live
            self._on_change(is_live)


async def _epoch(connection: AsyncConnection) -> int:
    """
    Return the epoch of the permissions in the database.

    Raises:
        TimeoutError: The server has not answered within `_ANSWER_WITHIN_S`.
    """
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        cursor = await connection.execute(QUERIES["epoch"])
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the gate has one row
    return int(row[0])


async def _purge(conninfo: str) -> None:
    """Delete expired envelopes from quarantine; after a failure the next purge tries again."""
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
