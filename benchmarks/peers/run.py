"""Runs a peer for a round: a queue filled for it, a process, and the commits that it made."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError, Unaccounted
from benchmarks.measurements.steady import steady
from benchmarks.rounds import RATE, Sample
from benchmarks.world.fleet import Message
from benchmarks.world.world import ROOT, World
from simulators.stack.child import Child

CONFIGURATION: Final = Path(__file__).with_name("telegraf.conf")
_TIMEOUT_S: Final = 120.0


def check_libraries() -> None:
    """
    Check that the libraries of the peers are installed.

    Raises:
        BenchError: A library is missing.
    """
    for name in ("paho", "gmqtt", "asyncpg"):
        if importlib.util.find_spec(name) is None:
            raise BenchError(f"{name} is not installed: pip install 'vitalveil[bench]'")


def telegraf() -> str | None:
    """Return the path of telegraf; None if it is not installed."""
    return shutil.which("telegraf")


class Peer:
    """One turn of the peer *name*, which stores *messages*."""

    def __init__(self, world: World, name: str, messages: list[Message], *, readings: int) -> None:
        self._world = world
        self._name = name
        self._messages = messages
        self._readings = readings

    def __call__(self) -> Sample:
        world = self._world
        world.telemetry.reset()
        world.fill([self._name], self._messages)
        if self._name == "telegraf":
            self._run_telegraf()
        else:
            self._run_python()
        world.forget(self._name)
        rows, wanted = world.telemetry.count(), self._readings * len(self._messages)
        if rows != wanted:
            raise Unaccounted(f"rows of {self._name}", expected=wanted, got=rows)
        run = steady(world.telemetry.commits_of_rows())
        return {RATE: run.rate, "messages_per_s": run.rate / self._readings}

    def _run_python(self) -> None:
        module = {"paho": "paho_psycopg", "gmqtt": "gmqtt_asyncpg"}[self._name]
        done = subprocess.run(
            [
                sys.executable, "-m", f"benchmarks.peers.{module}",
                str(self._world.broker.port), str(self._world.folder / "pki"),
                str(len(self._messages)),
            ],
            # Not as an argument, because every user can read the arguments of a process.
            input=self._world.dsn(),
            text=True,
            capture_output=True,
            timeout=_TIMEOUT_S,
            cwd=ROOT,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unaccounted(f"exit code of {self._name}", expected=0, got=done.returncode)

    def _run_telegraf(self) -> None:
        world = self._world
        program = telegraf()
        assert program is not None  # noqa: S101 - checked before the peer is made
        child = Child(
            "telegraf",
            [program, "--config", str(CONFIGURATION)],
            log=world.folder / "telegraf.log",
            environ={
                "BENCH_PORT": str(world.broker.port),
                "BENCH_PKI": str(world.folder / "pki"),
                "BENCH_DSN": world.dsn(),
                "HOME": os.environ.get("HOME", "/"),
            },
        )
        wanted = self._readings * len(self._messages)
        world.telemetry.wait_for_rows(wanted, timeout_s=_TIMEOUT_S)
        child.stop()
