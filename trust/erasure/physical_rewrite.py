"""
Physical rewrite: write the files of tables again, so that they hold no deleted row.

DELETE marks rows and VACUUM frees their space, but neither overwrites it. The planner's statistics
keep common values, and the table of the statistics keeps its earlier row versions. Only the owner
of a database may rewrite its tables, so this module connects as the owner and not as `vv_trust`.
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
"""Columns of type bytea that the statistics remember: names, and sealed data."""
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
    Rewrites tables of one database, as its owner.

    Args:
        settings: The address of the database and the role of its owner.

        section: The section of the settings that names them, for errors.

        error: The error to raise when the server fails or refuses.

        patience_s: How long to wait for transactions that may read deleted rows, in seconds.

        pause: Waits the given number of seconds.
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
        Rewrite the files of *relations*, then the statistics; return the facts of the rewrite.

        Each table is locked while it is rewritten. The wait for a lock is bounded to seconds and
        repeated, so that readers and writers are not blocked for long.

        Args:
            relations: Qualified names of tables. Tables that no longer exist are left out.

            analyze: Qualified names of tables whose statistics are collected again, without a
                rewrite.

        Raises:
            Unavailable: Some tables are not rewritten; call this again later.
            HeldBack: Deleted rows may still be read; call this again later.
            NotOwner: The role may not rewrite some table.
        """
        with self._connected() as connection:
            horizon = Horizon(connection, patience_s=self._patience_s, pause=self._pause)
            wanted = dict.fromkeys([*relations, *_compressed(connection, relations)])
            there = [name for name in wanted if _exists(connection, name)]
            self._rewrite(horizon, connection, there, _FULL_ANALYZE)
            for name in analyze:
                self._run(horizon, connection, sql.SQL("ANALYZE {}"), name)
                self._forget(horizon, connection, name)
            # Last, with a new limit: the steps before deleted rows of the statistics.
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
        Rewrite *names* without the rows deleted so far; return the proven transaction limit.

        First, wait for all transactions that may see such rows. As a transaction may pass its
        snapshot to another one between two looks, each table is checked after its rewrite.
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
                    # VACUUM skips tables that the role may not rewrite, with only a warning.
                    raise NotOwner(self._section)
                if command is _FULL_ANALYZE:
                    self._forget(horizon, connection, name)
            left = [name for name in left if not horizon.is_rewritten(name, limit)]
            if not left:
                return limit
        raise HeldBack(described(horizon.holders(limit) or [SnapshotHolder("unknown")]))

    def _forget(self, horizon: Horizon, connection: Connection, name: str) -> None:
        """
        Drop the statistics of a table if the table is empty: ANALYZE keeps the old ones.

        Before PostgreSQL 18, statistics of a partition cannot be dropped.
        """
        statement = sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(_identifier(name))
        if connection.execute(statement).fetchone() != (True,):
            return
        if connection.info.server_version >= _CLEARS_STATISTICS:
            connection.execute(_CLEAR, [name])
            return
        for (column,) in connection.execute(_REMEMBERED, [name]).fetchall():
            # A change of a column to its own type drops the statistics of the column.
            change = sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE bytea")
            self._run(horizon, connection, change, name, column)

    def aggregates(self) -> list[str]:
        """
        Return the qualified names of the tables that hold aggregates.

        Raises:
            Unavailable: The server fails or refuses.
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
    Rewrites tables of both databases, as their owners.

    Args:
        settings: The addresses of the databases and the roles of their owners.
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
        Rewrite *relations* of the telemetry database, and the tables of names in both databases.

        Args:
            relations: Qualified names of tables of the telemetry database.

        Returns:
            The facts of the rewrite, by database: `telemetry` and `vault`.

        Raises:
            Unavailable: Some tables are not rewritten; call this again later.
            HeldBack: Deleted rows may still be read; call this again later.
            NotOwner: A role may not rewrite some table.
        """
        # A partitioned table has its own statistics, apart from those of its partitions.
        wholes = ["vv.observations", *self._telemetry.aggregates()]
        looked = self._telemetry.sweep([*relations, *_TELEMETRY], analyze=wholes)
        return {"telemetry": looked, "vault": self._vault.sweep(_VAULT)}


def _compressed(connection: Connection, relations: Sequence[str]) -> list[str]:
    """Return the tables that hold the compressed rows of the chunks among *relations*."""
    found = connection.execute(
        "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    if found != (1,):
        return []
    return [str(name) for (name,) in connection.execute(_COMPRESSED, [list(relations)]).fetchall()]


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*(part.strip('"') for part in name.split(".")))


def _file(connection: Connection, name: str) -> int | None:
    """Return the file number of the relation *name*; None if the relation does not exist."""
    row = connection.execute("SELECT pg_relation_filenode(to_regclass(%s))::bigint", [name])
    found = row.fetchone()
    return None if found is None else found[0]


def _exists(connection: Connection, name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return row == (True,)
