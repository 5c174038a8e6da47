"""The contenders: each drains the same queue, or writes the same rows, and reports its rate."""

import json
import sys
import time

import msgspec

from benchmarks.errors import Unaccounted
from benchmarks.measurements.steady import steady
from benchmarks.rounds import RATE, Sample
from benchmarks.world.database import Commit
from benchmarks.world.fleet import Fleet, Message
from benchmarks.world.process import Sampler, memory_bytes
from benchmarks.world.world import CEILING, WORKERS, World, wait_for_exit, wait_until_settled
from ingest.storage import copy_format
from runtime.database import postgres

_ROWS_PER_TRANSACTION = 100_000


class Load(msgspec.Struct, frozen=True):
    """
    The contents of a queue.

    Args:
        messages: All messages.

        rows: How many observations they make.

        ledger: How many envelopes they make: repeated ones count once, unreadable ones not at
            all.
    """

    messages: list[Message]
    rows: int
    ledger: int


class Limit:
    """
    Binary COPY of the same rows into the same table, from prepared buffers on one
    connection.
    """

    def __init__(self, world: World, fleet: Fleet, *, table: str = "observations") -> None:
        self._world = world
        self._table = table
        shape = fleet.shape
        step = max(1, _ROWS_PER_TRANSACTION // shape.readings)
        self._buffers = [
            copy_format.encode(fleet.rows(first, min(first + step, shape.envelopes)))
            for first in range(0, shape.envelopes, step)
        ]
        self._rows = shape.rows

    def __call__(self) -> Sample:
        self._world.telemetry.reset()
        with postgres.connect(self._world.dsn()) as connection:
            query = f"COPY vv.{self._table} (time, series_id, value, flags) FROM STDIN BINARY"
            started_at = time.perf_counter()
            for buffer in self._buffers:
                with connection.cursor().copy(query.encode()) as copy:
                    copy.write(buffer)
            took_s = time.perf_counter() - started_at
        return {RATE: self._rows / took_s}


class Ours:
    """
    The whole path from a queue that was filled before: broker, ingest, COMMIT,
    PUBACK, receipt.
    """

    def __init__(self, world: World, load: Load, *, workers: int = 1) -> None:
        self._world = world
        self._messages = load.messages
        self._rows = load.rows
        self._ledger = load.ledger
        self._workers = workers

    def __call__(self) -> Sample:
        world, count = self._world, len(self._messages)
        names = list(WORKERS[: self._workers])
        world.telemetry.reset()
        world.fill(names, self._messages, of=self._workers)
        log_before = world.telemetry.log_position()
        workers = [world.start_ingest(n, of=self._workers) for n in range(self._workers)]
        with Sampler(workers[0].child.pid) as sampler:
            wait_until_settled(workers, count)
        peak = sum(memory_bytes(worker.child.pid, "VmHWM") for worker in workers)
        for worker in workers:
            # Everything is committed; the time that ingest takes to stop is not part of the
            # figure.
            worker.child.kill()
        world.forget(*names)
        commits = world.telemetry.commits_of_envelopes()
        self._check(commits)
        run = steady(commits)
        cpu_s = sampler.between(run.first_s, run.last_s)
        observations, ledger = world.telemetry.disk_bytes()
        return {
            RATE: run.rate * self._rows / self._ledger,
            "messages_per_s": run.rate * count / self._ledger,
            "cpu_us_per_message": cpu_s * 1e6 / run.units * self._ledger / count,
            "cpu_share": cpu_s / (run.last_s - run.first_s),
            "peak_rss_mb": peak / 1e6,
            "commits": float(len(commits)),
            "disk_bytes_per_reading": (observations + ledger) / self._rows,
            "ledger_bytes_per_reading": ledger / self._rows,
            "log_bytes_per_reading": (world.telemetry.log_position() - log_before) / self._rows,
        }

    def _check(self, commits: list[Commit]) -> None:
        """
        Check that the round is complete: the figure of a round that lost something
        is not valid.
        """
        envelopes = sum(commit.rows for commit in commits)
        if envelopes != self._ledger:
            raise Unaccounted("envelopes in the ledger", expected=self._ledger, got=envelopes)
        if (rows := self._world.telemetry.count()) != self._rows:
            raise Unaccounted("rows", expected=self._rows, got=rows)


class Ceiling:
    """The same messages, drained by a subscriber that only acknowledges."""

    def __init__(self, world: World, messages: list[Message], *, readings: int) -> None:
        self._world = world
        self._messages = messages
        self._readings = readings

    def __call__(self) -> Sample:
        world, count = self._world, len(self._messages)
        world.fill([CEILING], self._messages)
        log = world.folder / f"{CEILING}.log"
        log.unlink(missing_ok=True)
        child = world.start(
            CEILING, sys.executable, "-m", "benchmarks.measurements.ceiling",
            str(world.broker.port), str(world.folder / "pki"), CEILING, str(count),
        )  # fmt: skip
        wait_for_exit(child)
        world.forget(CEILING)
        run = steady([Commit(at_s, number) for at_s, number in json.loads(log.read_text())])
        return {RATE: run.rate * self._readings, "messages_per_s": run.rate}
