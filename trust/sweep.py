"""
Sweeping: writes the files of tables anew, so that not even their free space keeps what they held.

DELETE marks rows, VACUUM gives their room free, and neither overwrites it; the planner's
statistics keep common values, and their own table keeps the versions before. Only the owner of a
database may sweep it, so this connection is another one than trust's.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import psycopg
from psycopg import sql

from runtime import postgres
from runtime.errors import SessionRefused
from trust.config import DatabaseSettings, ErasureSettings
from trust.database import parameters, why
from trust.errors import TelemetryUnavailable, Unavailable, VaultUnavailable

_LIMITS: Final = postgres.Limits(lock_ms=3000)
_TURNS: Final = 20
_STATISTICS: Final = "pg_catalog.pg_statistic"
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
_TELEMETRY: Final = ("vv.permissions", "vv.permission_periods", "vv.series", "vv.quarantine")
_VAULT: Final = ("vault.subjects", "vault.handles")


class Sweeper:
    """
    The owner of one database.

    Args:
        settings: Where it is, as its owner.

        section: Their place in the settings, for errors.

        error: What to raise when the server does not do its part.

        pause: Waits so many seconds.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        section: str,
        error: type[Unavailable],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._parameters = parameters(settings, section=section)
        self._error = error
        self._pause = pause

    def sweep(self, relations: Sequence[str], *, analyze: Sequence[str] = ()) -> int:
        """
        Write the files of *relations* anew, then the statistics; return how many were there.

        Each is locked for as long as that takes; nobody is kept waiting for the lock itself for
        more than seconds, because readers and writers go first.

        Args:
            relations: Tables. Those that are there no more are left out.

            analyze: Tables whose statistics as a whole are to be made anew.

        Raises:
            Unavailable: Some are swept; do it again later.
        """
        with self._connected() as connection:
            swept = [name for name in dict.fromkeys(relations) if _exists(connection, name)]
            for name in swept:
                self._run(connection, sql.SQL("VACUUM (FULL, ANALYZE) {}"), name)
                self._forget(connection, name)
            for name in analyze:
                self._run(connection, sql.SQL("ANALYZE {}"), name)
                self._forget(connection, name)
            self._run(connection, sql.SQL("VACUUM (FULL) {}"), _STATISTICS)
            return len(swept)

    def _forget(self, connection: psycopg.Connection, name: str) -> None:
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
            self._run(connection, change, name, column)

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
    def _connected(self) -> Iterator[psycopg.Connection]:
        try:
            with postgres.connect(self._parameters, limits=_LIMITS) as connection:
                yield connection
        except (psycopg.Error, SessionRefused) as exc:
            raise self._error(why(exc)) from None

    def _run(
        self, connection: psycopg.Connection, command: sql.SQL, name: str, *columns: str
    ) -> None:
        statement = command.format(_identifier(name), *map(sql.Identifier, columns))
        for turn in range(_TURNS):
            try:
                connection.execute(statement)
            except psycopg.errors.LockNotAvailable:
                if turn == _TURNS - 1:
                    raise
                self._pause(0.2 * (turn + 1))
            else:
                return


class Broom:
    """
    The owners of both databases.

    Args:
        settings: Who they are.
    """

    def __init__(self, settings: ErasureSettings) -> None:
        self._telemetry = Sweeper(
            settings.telemetry, section="erasure.telemetry", error=TelemetryUnavailable
        )
        self._vault = Sweeper(settings.vault, section="erasure.vault", error=VaultUnavailable)

    def sweep(self, relations: Sequence[str]) -> dict[str, int]:
        """
        Sweep *relations* of the telemetry database, and in both what leads from people to rows.

        Returns:
            How many relations were written anew.

        Raises:
            Unavailable: Some are swept; do it again later.
        """
        # The statistics of a table as a whole stand apart from those of its partitions.
        wholes = ["vv.observations", *self._telemetry.aggregates()]
        swept = self._telemetry.sweep([*relations, *_TELEMETRY], analyze=wholes)
        return {"telemetry": swept, "vault": self._vault.sweep(_VAULT)}


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*(part.strip('"') for part in name.split(".")))


def _exists(connection: psycopg.Connection, name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return row == (True,)
