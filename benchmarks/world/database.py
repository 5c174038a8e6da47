"""The benchmark's access to PostgreSQL: seeds, resets, and the results of a round."""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import Connection

from benchmarks.world.fleet import LEASE, Member
from runtime.database import postgres
from wire.quantities import Code

INTERVAL_MS: Final = 1000
"""The policy of every permission: a heart rate each second, with a precision of ms."""


class Commit(msgspec.Struct, frozen=True):
    """A transaction that stored something: its time, and its number of rows."""

    at_s: float
    rows: int


LEASE_KEY: Final = (
    X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
)
"""The public lease key of every gateway; the cost of a proof does not depend on the key."""


class Telemetry:
    """The telemetry database, as an administrator."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._connection = postgres.connect(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def fetch(self, query: LiteralString, *arguments: object) -> list[tuple[Any, ...]]:
        """Return the rows of *query*."""
        return self._connection.execute(query, arguments or None).fetchall()

    def execute(self, query: LiteralString, *arguments: object) -> None:
        """Run *query*."""
        self._connection.execute(query, arguments or None)

    @contextmanager
    def change(self) -> Iterator[tuple[Connection, int]]:
        """Open a transaction as trust does; yield it with its epoch; commit."""
        with postgres.connect(self.dsn, autocommit=False) as connection:
            row = connection.execute("SELECT vv.change_permissions()").fetchone()
            assert row is not None  # noqa: S101 - a SELECT of one call has one row
            yield connection, row[0]

    def forget_permissions(self) -> None:
        """Delete every agent, lease, series and permission."""
        with self.change() as (connection, _):
            connection.execute(
                "TRUNCATE vv.permissions, vv.leases, vv.agents, vv.series RESTART IDENTITY"
            )

    def sow(
        self,
        members: Sequence[Member],
        *,
        format: str = "sealed",
        interval_ms: int = INTERVAL_MS,
        add: bool = False,
    ) -> None:
        """Permit *members* to send heart rates; with *add*, keep the permissions that exist."""
        if not add:
            self.forget_permissions()
        agents = list(dict.fromkeys(one.agent for one in members))
        with self.change() as (connection, epoch):
            connection.execute(
                "INSERT INTO vv.agents (agent, format, lease_key, changed_epoch)"
                " SELECT a, %s, %s, %s FROM unnest(%s::text[]) a",
                [format, LEASE_KEY if format == "sealed" else None, epoch, agents],
            )
            connection.execute(
                "INSERT INTO vv.leases SELECT a, %s, '2020-01-01', '2099-01-01', %s"
                " FROM unnest(%s::text[]) a",
                [LEASE, epoch, agents],
            )
            with connection.cursor().copy(
                "COPY vv.series (series_id, pseudonym, purpose, quantity) FROM STDIN"
            ) as copy:
                for one in members:
                    copy.write_row([one.series_id, one.handle, "bench", int(Code.HEART_RATE)])
            with connection.cursor().copy(
                "COPY vv.permissions (handle, quantity, agent, series_id, valid_from, valid_to,"
                " withdrawn_at, step, interval_ms, time_step_ms, changed_epoch) FROM STDIN"
            ) as copy:
                for one in members:
                    copy.write_row(
                        [
                            one.handle,
                            int(Code.HEART_RATE),
                            one.agent,
                            one.series_id,
                            "2020-01-01Z",
                            None,
                            None,
                            1,
                            interval_ms,
                            1,
                            epoch,
                        ]
                    )
        self.execute("ANALYZE vv.permissions, vv.agents, vv.leases, vv.series")

    def withdraw(self, handles: Sequence[bytes]) -> int:
        """Withdraw *handles*; return the committed epoch of the withdrawal."""
        with self.change() as (connection, epoch):
            connection.execute(
                "UPDATE vv.permissions SET withdrawn_at = clock_timestamp(), changed_epoch = %s"
                " WHERE handle = ANY(%b)",
                [epoch, list(handles)],
            )
        return epoch

    def reset(self) -> None:
        """
        Empty the tables that a round fills, and write them to disk, so that all rounds begin
        alike.
        """
        self.execute("TRUNCATE vv.observations, vv.envelopes, vv.spools, vv.quarantine")
        self.execute("DROP TABLE IF EXISTS vv.bench_bare")
        self.execute(
            "CREATE TABLE vv.bench_bare (time timestamptz NOT NULL, series_id integer NOT NULL,"
            " value real NOT NULL, flags smallint NOT NULL)"
        )
        self.execute("GRANT INSERT ON vv.bench_bare TO vv_ingest")
        today = dt.datetime.now(dt.UTC).date()
        self.execute(
            "SELECT vv.ensure_partitions(%s, %s)",
            today - dt.timedelta(days=2),
            today + dt.timedelta(days=1),
        )
        self.execute("CHECKPOINT")

    def commits_of_envelopes(self) -> list[Commit]:
        """Return the transactions of the ledger, with their number of envelopes, in order."""
        return self._commits(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(x))::float8, n"
            " FROM (SELECT xmin AS x, count(*) AS n FROM vv.envelopes GROUP BY xmin) t"
        )

    def commits_of_rows(self) -> list[Commit]:
        """Return the transactions that wrote observations, with their number of rows, in order."""
        return self._commits(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(x))::float8, n"
            " FROM (SELECT xmin AS x, count(*) AS n FROM vv.observations GROUP BY xmin) t"
        )

    def _commits(self, query: LiteralString) -> list[Commit]:
        found = [Commit(at_s, rows) for at_s, rows in self.fetch(query)]
        return sorted(found, key=lambda commit: commit.at_s)

    def count(self) -> int:
        """Return the number of observations."""
        number: int = self.fetch("SELECT count(*) FROM vv.observations")[0][0]
        return number

    def wait_for_rows(self, wanted: int, *, timeout_s: float) -> None:
        """Return as soon as there are *wanted* observations, or after *timeout_s*."""
        deadline = time.monotonic() + timeout_s
        while self.count() < wanted and time.monotonic() < deadline:
            time.sleep(0.2)

    def disk_bytes(self) -> tuple[int, int]:
        """
        Return the bytes on disk of the observations, and of ledger and watermarks,
        with indexes.
        """
        found = self.fetch(
            "SELECT sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relname LIKE"
            " 'observations%%' OR n.nspname = '_timescaledb_internal'),"
            " sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relname IN"
            " ('envelopes', 'spools')) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname IN ('vv', '_timescaledb_internal')",
        )[0]
        return int(found[0] or 0), int(found[1] or 0)

    def log_position(self) -> int:
        """Return how many bytes of write-ahead log were written since the cluster was created."""
        return int(self.fetch("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])
