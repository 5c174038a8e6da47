"""Sessions of people's and dashboards' roles that hold or use up any resource that they can."""

import contextlib
import itertools
import select
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import psycopg


class Attack(msgspec.Struct, frozen=True):
    """Statements that a session runs; it stays in the last one."""

    name: str
    statements: tuple[str, ...]
    repeats: bool = False
    """Whether the session repeats the last statement."""


_FREE: Final = (
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET lock_timeout = 0",
    "SET default_transaction_read_only = off",
    "SET max_parallel_workers_per_gather = 8",
)
"""Statements that turn off all time-outs that a session may change."""


def _attack(name: str, *statements: str, repeats: bool = False) -> Attack:
    return Attack(name, (*_FREE, *statements), repeats)


_LOCK: Final = "SELECT pg_advisory_lock(hashtext('vv.{}'))"
HOLDING: Final = (
    _attack("a transaction", "BEGIN", "SELECT * FROM vv.ops_permissions"),
    _attack("a view of cohorts", "BEGIN", "SELECT * FROM vv.cohorts_hourly"),
    _attack("a snapshot", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"),
    _attack(
        "a serializable one", "BEGIN ISOLATION LEVEL SERIALIZABLE", "TABLE vv.ops_storage"
    ),
    _attack("a snapshot for others", "BEGIN", "SELECT pg_export_snapshot()"),
    _attack("a listener", "LISTEN vv_permissions", "BEGIN", "SELECT 1"),
    _attack("a listener elsewhere", "LISTEN foo", "BEGIN", "SAVEPOINT a", "SELECT 1"),
    _attack(
        "a cursor", "BEGIN", "DECLARE c CURSOR FOR TABLE pg_attribute", "FETCH 1 FROM c"
    ),
    _attack(
        "a cursor that outlives its transaction",
        "DECLARE c CURSOR WITH HOLD FOR SELECT repeat(md5(n::text), 30)"
        " FROM generate_series(1, 200000) n",
    ),
    _attack("the lock of partitions", _LOCK.format("ensure_partitions")),
    _attack("the lock of aggregates", _LOCK.format("roll_up")),
    _attack("the lock of figures", "BEGIN", _LOCK.format("publish_cohorts")),
    _attack("the lock of migrations", f"SELECT pg_advisory_lock({0x7676_6D69_6772})"),
    _attack("a million locks", "SELECT pg_advisory_lock(n) FROM generate_series(1, 1000000) n"),
    _attack("shared locks", "SELECT pg_advisory_lock_shared(n) FROM generate_series(1, 999999) n"),
    _attack("a view's tables", "BEGIN", "LOCK TABLE vv.ops_permissions IN ACCESS SHARE MODE"),
    _attack(
        "a view's tables alone", "BEGIN", "LOCK TABLE vv.ops_permissions IN ACCESS EXCLUSIVE MODE"
    ),
    _attack("rows shared", "BEGIN", "SELECT * FROM vv.ops_permissions FOR SHARE"),
    _attack("rows for update", "BEGIN", "SELECT * FROM vv.cohorts_daily FOR UPDATE"),
    _attack("the gate", "BEGIN", "LOCK TABLE vv.permission_gate IN EXCLUSIVE MODE"),
    _attack("turns", "BEGIN", "SELECT FROM vv.turns FOR UPDATE"),
    _attack("the list of migrations", "BEGIN", "LOCK TABLE public.vv_migrations"),
    _attack("sleep", "SELECT pg_sleep(3600)"),
    _attack("sleep in a transaction", "BEGIN", "SELECT pg_sleep(3600)"),
    _attack("a failed transaction", "BEGIN", "SELECT 1 / 0"),
    _attack("a prepared transaction", "BEGIN", "SELECT 1", "PREPARE TRANSACTION 'of a dashboard'"),
    _attack("a table of its own", "CREATE TEMP TABLE t AS SELECT generate_series(1, 10000000)"),
    _attack("a large object", "SELECT lo_from_bytea(0, repeat('x', 100000000)::bytea)"),
    _attack("the log", "SELECT pg_logical_emit_message(false, 'x', repeat('x', 100000000))"),
    _attack(
        "a block that catches",
        "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL;"
        " END; END LOOP; END $$",
    ),
    _attack("a pulse in a transaction", "BEGIN", "SELECT pg_sleep(0.3)", repeats=True),
    _attack("the owner", "SET ROLE vv_owner", "LOCK TABLE vv.permissions"),
    _attack("a program", "COPY vv.ops_storage TO PROGRAM 'sleep 60'"),
)  # fmt: skip
"""Attacks that hold locks, snapshots, queues, connections or memory."""
BURNING: Final = (
    _attack("counting", "SELECT count(*) FROM generate_series(1, 1000000000000)"),
    _attack("a product", "SELECT count(*) FROM pg_attribute a, pg_attribute b, pg_attribute c"),
    _attack("hashing", "SELECT max(sha512(n::text::bytea)) FROM generate_series(1, 9999999999) n"),
    _attack(
        "sorting on disk",
        "SET work_mem = '64kB'",
        "SELECT md5(n::text) AS m FROM generate_series(1, 100000000) n ORDER BY m",
    ),
    _attack(
        "recursion",
        "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
        " SELECT count(*) FROM r",
    ),
    _attack(
        "a pattern",
        "SELECT count(*) FROM generate_series(1, 1000000000) n"
        " WHERE repeat('a', 200) || n ~ '^(a|aa)*$'",
    ),
    _attack("notifications", "SELECT 1", "NOTIFY foo, '" + "x" * 7000 + "'", repeats=True),
    _attack("its own settings", "ALTER ROLE CURRENT_USER SET search_path = vv", repeats=True),
    _attack("small statements", "SELECT pg_sleep(0)", repeats=True),
)  # fmt: skip
"""Attacks that use up the processor or the disk."""


class Attackers:
    """
    Sessions of each role that run one attack after the other until they are stopped.

    Args:
        dsn: A connection string for each role.

        attacks: The attacks, in order; after the last one the first follows again.

        at_once: Number of sessions of a role at the same time.
    """

    def __init__(self, dsn: Sequence[str], attacks: Sequence[Attack], *, at_once: int = 7) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(one, turns), daemon=True)
            for one in dsn
            for turns in [itertools.cycle(attacks)]
            for _ in range(at_once)
        ]
        self.lasted: dict[str, float] = {}
        """The longest time that a session stayed in each attack, s."""

    @contextlib.contextmanager
    def at_work(self) -> Iterator["Attackers"]:
        """Attack until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(20)

    def _run(self, dsn: str, turns: Iterator[Attack]) -> None:
        while not self._stop.is_set():
            with self._lock:
                attack = next(turns)
            began = None
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(dsn, autocommit=True) as connection,
            ):
                began = time.monotonic()
                self._hold(connection, attack)
            if began is None:
                self._stop.wait(0.5)
            else:
                lasted = time.monotonic() - began
                self.lasted[attack.name] = max(lasted, self.lasted.get(attack.name, 0.0))

    def _hold(self, connection: psycopg.Connection, attack: Attack) -> None:
        for statement in attack.statements:
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        ends_at = time.monotonic() + 9.0
        while attack.repeats and not self._stop.is_set() and time.monotonic() < ends_at:
            connection.execute(attack.statements[-1].encode())
        is_idle = connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        leaves_at = time.monotonic() + (0.2 if is_idle else 60.0)
        while not self._stop.is_set() and time.monotonic() < leaves_at:
            # The socket becomes readable when the server ends the session.
            if select.select([connection.pgconn.socket], [], [], 0.1)[0]:
                return
