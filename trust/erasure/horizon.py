"""
The horizon of a database: which transactions may still see what was deleted.

PostgreSQL keeps a deleted row for as long as any snapshot may see it, and a table that is
rewritten meanwhile takes the row along. So before that, every transaction that began
before the deletion must have ended; and after it the table itself tells that none was left: its
`relfrozenxid` is then the first transaction that the server took for visible.
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
"""Roles whose sessions may be ended: nothing is lost but a picture."""
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
    "logical_slot_unused": "a logical replication slot that nobody reads",
    "physical_slot": "a physical replication slot",
    "physical_slot_unused": "a physical replication slot that nobody reads",
    "temporary": "a temporary file, as of a cursor WITH HOLD",
    "defer": "the server's setting vacuum_defer_cleanup_age",
    "unknown": "something that this role cannot see",
}
_log: Final = Log("trust.erasure.horizon")


class SnapshotHolder(msgspec.Struct, frozen=True):
    """Something that may still see deleted rows."""

    kind: str
    role: str = ""
    held_s: int | None = None
    pid: int | None = None

    def __str__(self) -> str:
        of = f" of the role {self.role}" if self.role else ""
        since = "" if self.held_s is None else f", open for {self.held_s} s"
        return f"{_KINDS[self.kind]}{of}{since}"


def describe(holders: Sequence[SnapshotHolder]) -> str:
    """Return what the first of *holders* are, for a sentence: no query, no address."""
    said = "; ".join(str(holder) for holder in holders[:_SAID])
    more = len(holders) - _SAID
    return said if more <= 0 else f"{said}; and {more} more"


class Surroundings(msgspec.Struct, frozen=True):
    """What may keep rows elsewhere: counts at the moment after a rewrite."""

    prepared_transactions: int
    replication_slots: int
    standbys: int
    sessions_with_temporary_tables: int
    at: str
    """RFC 3339, by the server's clock."""


class Horizon:
    """
    The horizon as one connection sees it.

    Args:
        connection: Of the owner of the database, in autocommit.

        patience_s: How long to wait for what is older than a deletion.

        pause: Waits so many seconds.

        now: Seconds, of any clock that does not go back.
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
        """Return a number that every transaction committed so far is below."""
        row = self._connection.execute(_SQL["limit"]).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return int(row[0])

    def wait(self, limit: int) -> None:
        """
        Return once nothing can see what a transaction below *limit* deleted.

        Sessions of dashboards are ended for it; everything else is waited for.

        Raises:
            HeldBack: Something can still see it, after all the patience there is.
        """
        began = self._now()
        pause_s = _FIRST_PAUSE_S
        aside: set[str] | None = None
        while True:
            holders = self.holders(limit)
            if not holders:
                # From here on no query can read the rows; what was written aside may have them.
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
        """Return what may still see rows that a transaction below *limit* deleted."""
        rows = self._connection.execute(_SQL["holders"], {"limit": limit}).fetchall()
        return [SnapshotHolder(*row) for row in rows]

    def is_rewritten(self, name: str, limit: int) -> bool:
        """Tell whether relation *name* was rewritten without what was deleted below *limit*."""
        found = self._connection.execute(_SQL["is_rewritten"], {"limit": limit, "name": name})
        # A partition that retention dropped meanwhile keeps nothing.
        return found.fetchone() in ((True,), None)

    def end_blockers(self, name: str) -> None:
        """End sessions of dashboards that hold a lock on relation *name*."""
        wanted = {"name": name, "roles": list(_DASHBOARDS)}
        rows = self._connection.execute(_SQL["blockers"], wanted).fetchall()
        self._end(SnapshotHolder("session", pid=pid) for (pid,) in rows)

    def surroundings(self) -> Surroundings:
        """Return what may keep rows elsewhere."""
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
                # It is waited for, as for everything else.
                _log.warning("session_not_ended")
                return
            self.ended_sessions += 1
