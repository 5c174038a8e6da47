"""What it costs to know many handles: memory, start, changes, and how soon a withdrawal counts."""

import time
from collections.abc import Sequence
from typing import Final

from benchmarks.errors import TooSlow
from benchmarks.rounds import Sample
from benchmarks.world.database import INTERVAL_MS
from benchmarks.world.fleet import LEASE
from benchmarks.world.process import memory_bytes
from benchmarks.world.world import Worker, World
from simulators.stack.scrape import is_ready
from wire.quantities import Code

HANDLES_PER_AGENT: Final = 10
_CHANGES: Final = 10_000
_TIMEOUT_S: Final = 120.0


def sow(world: World, handles: int) -> None:
    """Fill the permissions with *handles*, ten for each agent, made by the database itself."""
    with world.telemetry.change() as (connection, epoch):
        connection.execute("TRUNCATE vv.permissions, vv.leases, vv.agents, vv.series CASCADE")
        agents = -(-handles // HANDLES_PER_AGENT)
        connection.execute(
            "INSERT INTO vv.agents SELECT left(md5(a::text), 16), 'sealed', NULL, %s"
            " FROM generate_series(0, %s) a ON CONFLICT DO NOTHING",
            [epoch, agents - 1],
        )
        connection.execute(
            "INSERT INTO vv.leases SELECT agent, %s, '2020-01-01', '2099-01-01', %s"
            " FROM vv.agents",
            [LEASE, epoch],
        )
        connection.execute(
            "INSERT INTO vv.series (series_id, pseudonym, purpose, quantity)"
            " OVERRIDING SYSTEM VALUE SELECT h + 1, decode(md5('p' || h), 'hex'), 'bench', %s"
            " FROM generate_series(0, %s) h",
            [int(Code.HEART_RATE), handles - 1],
        )
        connection.execute(
            "INSERT INTO vv.permissions SELECT decode(md5('h' || h), 'hex'), %s,"
            " left(md5((h / %s)::text), 16), h + 1, '2020-01-01', NULL, NULL, 1, %s, 1, %s"
            " FROM generate_series(0, %s) h",
            [int(Code.HEART_RATE), HANDLES_PER_AGENT, INTERVAL_MS, epoch, handles - 1],
        )
    world.telemetry.execute("ANALYZE vv.permissions, vv.agents, vv.leases, vv.series")


def start(world: World) -> tuple[Worker, float]:
    """Start ingest; return it with the time until it was ready, s."""
    started_at = time.perf_counter()
    worker = world.start_ingest()
    while not is_ready(worker.port):
        if time.perf_counter() - started_at > _TIMEOUT_S:
            raise TooSlow("ingest did not become ready")
        time.sleep(0.01)
    return worker, time.perf_counter() - started_at


def withdrawal_ms(world: World, worker: Worker, handles: Sequence[bytes]) -> float:
    """Withdraw *handles*; return how long after its COMMIT ingest knew, ms."""
    epoch = world.telemetry.withdraw(handles)
    committed_at = time.perf_counter()
    while worker.metrics().value("vitalveil_ingest_permissions_epoch") < epoch:
        if time.perf_counter() - committed_at > _TIMEOUT_S:
            raise TooSlow("ingest did not take notice of a withdrawal")
    return (time.perf_counter() - committed_at) * 1000


def measure(world: World, *, handles: int, empty_bytes: int, rounds: int) -> Sample:
    """Return what it costs to know *handles* handles, against an ingest that knows none."""
    sow(world, handles)
    worker, start_s = start(world)
    resident = memory_bytes(worker.child.pid)
    peak = memory_bytes(worker.child.pid, "VmHWM")
    one = [withdrawal_ms(world, worker, [_handle(world, number)]) for number in range(rounds)]
    many = min(_CHANGES, handles // 2)
    handles_of_many = [
        row[0]
        for row in world.telemetry.fetch(
            "SELECT handle FROM vv.permissions WHERE withdrawn_at IS NULL LIMIT %s", many
        )
    ]
    changes_ms = withdrawal_ms(world, worker, handles_of_many)
    worker.child.stop()
    return {
        "handles": float(handles),
        "bytes_per_handle": (resident - empty_bytes) / handles,
        "resident_mb": resident / 1e6,
        "peak_mb": peak / 1e6,
        "start_s": start_s,
        "withdrawal_ms": sorted(one)[len(one) // 2],
        "withdrawal_worst_ms": max(one),
        "changes_ms": changes_ms,
    }


def _handle(world: World, number: int) -> bytes:
    found: bytes = world.telemetry.fetch("SELECT decode(md5('h' || %s::text), 'hex')", number)[0][
        0
    ]
    return found


def resident_of_none(world: World) -> int:
    """Return the memory of an ingest that knows nobody, bytes."""
    world.telemetry.forget_permissions()
    worker, _ = start(world)
    found = memory_bytes(worker.child.pid)
    worker.child.stop()
    return found
