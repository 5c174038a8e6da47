"""
Rewriting: the files of tables are written again, and their free space keeps nothing either.

DELETE marks rows, VACUUM gives their room free, and neither overwrites it; the planner's
statistics keep common values, and their own table keeps the versions before. Only the owner of a
database may rewrite it, so this connection is another one than trust's.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import psycopg
from psycopg import sql

from runtime.database import postgres
from runtime.errors import SessionRefused
from trust.config import DatabaseSettings, ErasureSettings
from trust.domain.erasure_steps import Rewritten
from trust.erasure.horizon import Horizon, SnapshotHolder
from trust.erasure.horizon import describe as described
from trust.errors import HeldBack, NotOwner, TelemetryUnavailable, Unavailable, VaultUnavailable
from trust.vault.database import Connection, parameters, why

_LIMITS: Final = postgres.Limits(lock_ms=3000)
_TURNS: Final = 20
_REWRITES: Final = 3
_STATISTICS: Final = ("pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data")
_FULL: Final = sql.SQL("VACUUM (FULL) {}")
_FULL_ANALYZE: Final = sql.SQL("VACUUM (FULL, ANALYZE) {}")
_CLEARS_STATISTICS: Final = 180_000
_CLEAR: Final = """
SELECT pg_clear_attribute_stats(schemaname::text, tablename::text, attname::text, inherited)
FROM pg_stats
WHERE to_regclass(format('%%I.%%I', schemaname, tablename)) = to_regclass(%s)
"""
_REMEMBERED: Final = """
SELECT a.attname FROM pg_stats s JOIN pg_attribute a
    ON a.attrelid = to_regclass(format('%%I.%%I', s.schemaname, s.tablename))
    AND a.attname = s.attname
WHERE a.attrelid = to_regclass(%s) AND NOT s.inherited AND a.attinhcount = 0
    AND a.atttypid = 'bytea'::regtype
"""
"""Names, and what is sealed."""
_COMPRESSED: Final = """
SELECT format('%%I.%%I', k.schema_name, k.table_name)
FROM _timescaledb_catalog.chunk c JOIN _timescaledb_catalog.chunk k ON k.id = c.compressed_chunk_id
WHERE to_regclass(format('%%I.%%I', c.schema_name, c.table_name)) = ANY(
    SELECT to_regclass(name) FROM unnest(%s::text[]) name)
"""
_TELEMETRY: Final = ("vv.permissions", "vv.permission_periods", "vv.series", "vv.quarantine")
_VAULT: Final = ("vault.subjects", "vault.handles")


class DatabaseRewrite:
    """
    The owner of one database.

    Args:
        settings: Where it is, as its owner.

        section: Their place in the settings, for errors.

        error: What to raise when the server does not do its part.

        patience_s: How long to wait for transactions that may still read what was deleted.

        pause: Waits so many seconds.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        section: str,
        error: type[Unavailable],
        patience_s: float,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._parameters = parameters(settings, section=section)
        self._section = section
        self._error = error
        self._patience_s = patience_s
        self._pause = pause

    def sweep(self, relations: Sequence[str], *, analyze: Sequence[str] = ()) -> Rewritten:
        """
        Rewrite the files of *relations*, then the statistics; return what was looked at.

        Each is locked for as long as that takes; nobody is kept waiting for the lock itself for
        more than seconds, because readers and writers go first.

        Args:
            relations: Tables. Those that are not there any more are left out.

            analyze: Tables whose statistics as a whole are to be collected again.

        Raises:
            Unavailable: Some are rewritten; do it again later.
            HeldBack: Something may still read what was deleted; do it again later.
            NotOwner: The role may not rewrite all of it.
        """
        with self._connected() as connection:
            horizon = Horizon(connection, patience_s=self._patience_s, pause=self._pause)
            wanted = dict.fromkeys([*relations, *_compressed(connection, relations)])
            there = [name for name in wanted if _exists(connection, name)]
            self._rewrite(horizon, connection, there, _FULL_ANALYZE)
            for name in analyze:
                self._run(horizon, connection, sql.SQL("ANALYZE {}"), name)
                self._forget(horizon, connection, name)
            # They were written to since, so their own deletions are later ones.
            limit = self._rewrite(horizon, connection, _STATISTICS, _FULL)
            around = horizon.surroundings()
            return Rewritten(
                relations=there,
                horizon=str(limit),
                looked_at=around.at,
                waited_ms=round(1000 * horizon.waited_s),
                sessions_ended=horizon.ended_sessions,
                prepared_transactions=around.prepared_transactions,
                replication_slots=around.replication_slots,
                standbys=around.standbys,
                sessions_with_temporary_tables=around.sessions_with_temporary_tables,
            )

    def _rewrite(
        self, horizon: Horizon, connection: Connection, names: Sequence[str], command: sql.SQL
    ) -> int:
        """
        Rewrite *names* without anything that was deleted until now; return the horizon proved.

        Before, everything is waited for that can be seen; but a transaction may hand its snapshot
        to another one between two looks. What each table says of itself afterwards is certain.
        """
        limit = horizon.limit()
        left = list(names)
        for turn in range(_REWRITES):
            if turn:
                self._pause(0.2 * turn)
            horizon.wait(limit)
            for name in left:
                file = _file(connection, name)
                self._run(horizon, connection, command, name)
                if file is not None and _file(connection, name) == file:
                    # VACUUM leaves out what it may not touch, with no more than a warning.
                    raise NotOwner(self._section)
                if command is _FULL_ANALYZE:
                    self._forget(horizon, connection, name)
            left = [name for name in left if not horizon.is_rewritten(name, limit)]
            if not left:
                return limit
        raise HeldBack(described(horizon.holders(limit) or [SnapshotHolder("unknown")]))

    def _forget(self, horizon: Horizon, connection: Connection, name: str) -> None:
        """
        Drop the statistics of a table that is empty: ANALYZE leaves those as they were.

        Before PostgreSQL 18 only those of a table that is no partition can be dropped.
        """
        statement = sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(_identifier(name))
        if connection.execute(statement).fetchone() != (True,):
            return
        if connection.info.server_version >= _CLEARS_STATISTICS:
            connection.execute(_CLEAR, [name])
            return
        for (column,) in connection.execute(_REMEMBERED, [name]).fetchall():
            # Given the type that it has, a column loses what was known of it.
            change = sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE bytea")
            self._run(horizon, connection, change, name, column)

    def aggregates(self) -> list[str]:
        """
        Return the tables that hold aggregates.

        Raises:
            Unavailable: The server does not do its part.
        """
        with self._connected() as connection:
            rows = connection.execute("SELECT place FROM vv.aggregate_tables()").fetchall()
            return [str(place) for (place,) in rows]

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with postgres.connect(self._parameters, limits=_LIMITS) as connection:
                yield connection
        except (psycopg.Error, SessionRefused) as exc:
            raise self._error(why(exc)) from None

    def _run(
        self, horizon: Horizon, connection: Connection, command: sql.SQL, name: str, *columns: str
    ) -> None:
        statement = command.format(_identifier(name), *map(sql.Identifier, columns))
        for turn in range(_TURNS):
            try:
                connection.execute(statement)
            except psycopg.errors.LockNotAvailable:
                if turn == _TURNS - 1:
                    raise
                horizon.end_blockers(name)
                self._pause(0.2 * (turn + 1))
            else:
                return


class PhysicalRewrite:
    """
    The owners of both databases.

    Args:
        settings: Who they are.
    """

    def __init__(self, settings: ErasureSettings) -> None:
        self._telemetry = DatabaseRewrite(
            settings.telemetry,
            section="erasure.telemetry",
            error=TelemetryUnavailable,
            patience_s=settings.snapshot_wait_s,
        )
        self._vault = DatabaseRewrite(
            settings.vault,
            section="erasure.vault",
            error=VaultUnavailable,
            patience_s=settings.snapshot_wait_s,
        )

    def sweep(self, relations: Sequence[str]) -> dict[str, Rewritten]:
        """
        Rewrite *relations* of the telemetry database, and in both what leads from people to rows.

        Returns:
            What was looked at, by database.

        Raises:
            Unavailable: Some are rewritten; do it again later.
            HeldBack: Something may still read what was deleted; do it again later.
        """
        # The statistics of a table as a whole stand apart from those of its partitions.
        wholes = ["vv.observations", *self._telemetry.aggregates()]
        looked = self._telemetry.sweep([*relations, *_TELEMETRY], analyze=wholes)
        return {"telemetry": looked, "vault": self._vault.sweep(_VAULT)}


def _compressed(connection: Connection, relations: Sequence[str]) -> list[str]:
    """Return what the chunks among *relations* are compressed into by now."""
    found = connection.execute(
        "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    if found != (1,):
        return []
    return [str(name) for (name,) in connection.execute(_COMPRESSED, [list(relations)]).fetchall()]


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*(part.strip('"') for part in name.split(".")))


def _file(connection: Connection, name: str) -> int | None:
    """Return which file relation *name* is in; None when it is not there any more."""
    row = connection.execute("SELECT pg_relation_filenode(to_regclass(%s))::bigint", [name])
    found = row.fetchone()
    return None if found is None else found[0]


def _exists(connection: Connection, name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return row == (True,)
