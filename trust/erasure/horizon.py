"""
The horizon of a database: which transactions may still see deleted rows.

PostgreSQL keeps a deleted row as long as any snapshot may see it, and a rewrite during that time
copies the row. So every transaction that began before the deletion must end before the rewrite.
After the rewrite, the `relfrozenxid` of the table proves it: this is the oldest transaction that
the server treated as possibly running.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import psycopg

from runtime.database import named_sql
from runtime.logs import Log
from trust.errors import HeldBack
from trust.vault.database import Connection

_SQL: Final = named_sql.read("trust.erasure", "horizon.sql")
_DASHBOARDS: Final = ("vv_grafana", "vv_reader")
"""Roles whose sessions may be ended: their queries only read, and can be repeated."""
_GRACE_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5
_SAID: Final = 3
_KINDS: Final = {
    "session": "a transaction",
    "session_elsewhere": "a transaction in another database of the server",
    "backup": "a pg_dump",
    "standby": "a standby with hot_standby_feedback",
    "prepared": "a prepared transaction",
    "logical_slot": "a logical replication slot",
    "logical_slot_unused": "a logical replication slot without a reader",
    "physical_slot": "a physical replication slot",
    "physical_slot_unused": "a physical replication slot without a reader",
    "temporary": "a temporary file, as of a cursor WITH HOLD",
    "defer": "the server's setting vacuum_defer_cleanup_age",
    "unknown": "something that this role cannot see",
}
_log: Final = Log("trust.erasure.horizon")


class SnapshotHolder(msgspec.Struct, frozen=True):
    """A session, slot, transaction, file or setting that may still see deleted rows."""

    kind: str
    role: str = ""
    held_s: int | None = None
    pid: int | None = None

    def __str__(self) -> str:
        of = f" of the role {self.role}" if self.role else ""
        since = "" if self.held_s is None else f", open for {self.held_s} s"
        return f"{_KINDS[self.kind]}{of}{since}"


def describe(holders: Sequence[SnapshotHolder]) -> str:
    """Return a phrase about the first three of *holders*, without a query or an address."""
    said = "; ".join(str(holder) for holder in holders[:_SAID])
    more = len(holders) - _SAID
    return said if more <= 0 else f"{said}; and {more} more"


class Surroundings(msgspec.Struct, frozen=True):
    """How many slots, standbys and sessions may keep rows elsewhere, just after a rewrite."""

    prepared_transactions: int
    replication_slots: int
    standbys: int
    sessions_with_temporary_tables: int
    at: str
    """When they were counted: RFC 3339, by the server's clock."""


class Horizon:
    """
    The horizon of one database, seen from one connection.

    Args:
        connection: A connection as the owner of the database, in autocommit mode.

        patience_s: How long to wait for transactions that are older than a deletion, in seconds.

        pause: Waits the given number of seconds.

        now: Returns the seconds of a clock that does not go back.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        patience_s: float,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._pause = pause
        self._now = now
        self.waited_s = 0.0
        self.ended_sessions = 0

    def limit(self) -> int:
        """Return a transaction number above that of every transaction committed so far."""
        row = self._connection.execute(_SQL["limit"]).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return int(row[0])

    def wait(self, limit: int) -> None:
        """
        Wait until nothing can see the rows that transactions below *limit* deleted.

        After a grace period, sessions of dashboards are ended. All others are waited for.

        Raises:
            HeldBack: The patience is over, and the rows can still be seen.
        """
        began = self._now()
        pause_s = _FIRST_PAUSE_S
        aside: set[str] | None = None
        while True:
            holders = self.holders(limit)
            if not holders:
                # No query can read the rows any more, but temporary files may hold copies of them.
                files = self._temporary_files()
                aside = set(files) if aside is None else aside & set(files)
                holders = [files[name] for name in sorted(aside)]
            spent = self._now() - began
            if not holders:
                self.waited_s += spent
                return
            if spent >= self._patience_s:
                raise HeldBack(describe(holders))
            if spent >= min(_GRACE_S, self._patience_s / 2):
                self._end(holder for holder in holders if holder.role in _DASHBOARDS)
            self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def holders(self, limit: int) -> list[SnapshotHolder]:
        """Return everything that may still see rows deleted by transactions below *limit*."""
        rows = self._connection.execute(_SQL["holders"], {"limit": limit}).fetchall()
        return [SnapshotHolder(*row) for row in rows]

    def is_rewritten(self, name: str, limit: int) -> bool:
        """Return whether the file of *name* holds no row that was deleted below *limit*."""
        found = self._connection.execute(_SQL["is_rewritten"], {"limit": limit, "name": name})
        # No row means that retention dropped the partition meanwhile.
        return found.fetchone() in ((True,), None)

    def end_blockers(self, name: str) -> None:
        """End the sessions of dashboards that hold a lock on the relation *name*."""
        wanted = {"name": name, "roles": list(_DASHBOARDS)}
        rows = self._connection.execute(_SQL["blockers"], wanted).fetchall()
        self._end(SnapshotHolder("session", pid=pid) for (pid,) in rows)

    def surroundings(self) -> Surroundings:
        """Count the slots, standbys and sessions that may keep rows elsewhere."""
        row = self._connection.execute(_SQL["surroundings"]).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return Surroundings(*row)

    def _temporary_files(self) -> dict[str, SnapshotHolder]:
        may = self._connection.execute(_SQL["may_list_temporary_files"]).fetchone()
        if may != (True,):
            return {}
        rows = self._connection.execute(_SQL["temporary_files"]).fetchall()
        return {name: SnapshotHolder("temporary", role, None, pid) for name, role, pid in rows}

    def _end(self, holders: Iterable[SnapshotHolder]) -> None:
        for holder in holders:
            if holder.pid is None:
                continue
            try:
                self._connection.execute(_SQL["end_session"], {"pid": holder.pid})
            except psycopg.errors.InsufficientPrivilege:
                # The caller then waits for this session, as for all others.
                _log.warning("session_not_ended")
                return
            self.ended_sessions += 1
