"""
Measurements while the time is unknown are dated once it is known, or refused and counted.

The agent is a process with a radio on a private D-Bus, on a machine without a battery-backed
clock; the power fails twice. Broker, trust, ingest and database run as in service.
"""

import asyncio
import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from edge_agent.spool import inspection
from simulators.stack.child import Child
from simulators.stack.scrape import EMPTY, scrape
from simulators.stack.system import LocalAgent, System, system
from simulators.stack.toml import Table
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from tests.bluez.sensors import STRAP, Strap
from tests.fakes.edge_agent import agent_environ
from tests.fixtures.bluez import Machine
from tests.support.agents import rebooted_agent

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

_POLICY: Final = """\
purpose: wake@1
art6: 6.1.a
art9: 9.2.a
recipients: [test]
quantities:
  heart_rate: {round: 1, min_interval: 10ms, time_rounding: 1ms, aggregate: first}
retention: {raw: 1d, aggregates: 1d}
pad_bytes: 128
"""
_ROWS: Final = "SELECT time, value FROM vv.observations ORDER BY time"
_DAYS_MS: Final = 86_400_000
_SLACK: Final = dt.timedelta(seconds=1.5)
"""The most time between a value that leaves the strap and its timestamp, on a busy machine."""


class Pi:
    """
    A gateway that loses its clock when the power fails.

    Args:
        whole: The system that the gateway belongs to.
    """

    def __init__(self, whole: System) -> None:
        self.machine = whole.folder / "pi"
        self.machine.mkdir()
        self.gateway = _enrol(whole, marker=self.machine / "synchronised")
        self.boots = 0

    def boot(self, *, off_ms: int, undated_s: float = 600.0) -> None:
        """
        Boot the gateway with a clock that is *off_ms* ms off, and that is not
        synchronised yet.
        """
        self.boots += 1
        (self.machine / "boot").write_text(f"boot-{self.boots}")
        (self.machine / "off").write_text(str(off_ms))
        (self.machine / "synchronised").unlink(missing_ok=True)
        program = [sys.executable, rebooted_agent.__file__, str(self.machine), "run"]
        environ = agent_environ() | {"VITALVEIL_AGENT_CLOCK_UNDATED_S": str(undated_s)}
        self.gateway.child = Child(
            "pi",
            [*program, "--config", str(self.gateway.configuration)],
            log=self.gateway.log,
            environ=environ,
        )

    def synchronise(self) -> None:
        """Synchronise the clock, as a time server would."""
        (self.machine / "off").write_text("0")
        (self.machine / "synchronised").touch()

    def cut(self) -> None:
        """Cut the power of the gateway."""
        assert self.gateway.child is not None
        self.gateway.child.kill()

    def count(self, name: str, **labels: str) -> float:
        """Return a metric of the agent."""
        return (scrape(self.gateway.http_port) or EMPTY).value(f"vitalveil_agent_{name}", **labels)

    def waiting(self) -> int:
        """Return how many envelopes the spool has taken in all."""
        return inspection.look(self.gateway.state).totals["appended"].envelopes

    def logged(self) -> str:
        """Return the log lines of the agent since its start."""
        return self.gateway.log.read_text()


def _enrol(whole: System, *, marker: Path) -> LocalAgent:
    policy = whole.folder / "wake.yaml"
    policy.write_text(_POLICY)
    settings: Table = {
        "sensors": {"source": "bluetooth"},
        "clock": {"belief": "synchronised", "marker": marker},
        "publish": {"longest_wait_s": 1},
    }
    with whole.trust_shell() as shell:
        shell.run("policy", "load", "--first", str(policy))
        gateway = whole.enrol(shell, agent=settings)
        subject = shell.run("subject", "add", "--name", "Ada Canary", *INVENTED_BIRTH)["subject"]
        shell.run(
            "decision", "record", "--subject", subject, "--purpose", "wake@1",
            "--agent", gateway.agent, "--quantities", "heart_rate", "--binding", STRAP,
            *INVENTED_YES,
        )  # fmt: skip
    return gateway


def _rows(whole: System) -> list[tuple[dt.datetime, float]]:
    with psycopg.connect(whole.databases.admin("telemetry")) as connection:
        return connection.execute(_ROWS).fetchall()


async def _until(done: Callable[[], bool], *, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(done):  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.05)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def whole() -> Iterator[System]:
    """A system with ingest running."""
    with system(programs=_programs()) as whole:
        whole.prepare()
        whole.start_ingest()
        yield whole


def _programs() -> Path | None:
    folder = os.environ.get("VITALVEIL_TEST_PROGRAMS")
    return Path(folder) if folder else None


@pytest.mark.timeout(300)
async def test_nobody_knows_the_time(whole: System, machine: Machine) -> None:
    """Readings of a boot without a date arrive with the right date, or are refused and counted."""
    strap = Strap(period_s=0.1)
    machine.bluetoothd.add(strap)
    strap.wear()
    pi = await asyncio.to_thread(Pi, whole)

    # In the first boot the agent gets its lease and the time.
    pi.boot(off_ms=0)
    pi.synchronise()
    await _until(lambda: len(_rows(whole)) >= 5)
    pi.cut()
    before, spooled = len(_rows(whole)), pi.waiting()

    # After the power failure the clock shows last week: the agent measures, and sends nothing.
    pi.boot(off_ms=-7 * _DAYS_MS)
    began = _now()
    await _until(lambda: strap.is_connected and pi.count("measuring") == 1)
    heard = _now()
    await asyncio.sleep(3)
    assert pi.count("clock_dated") == 0
    assert pi.count("connected") == 0
    assert pi.waiting() == spooled
    assert pi.logged().count("broker_connected") == 1

    synchronised = _now()
    pi.synchronise()
    await _until(lambda: len(_rows(whole)) >= before + 60)
    dated = [row for row in _rows(whole) if row[0] >= began]
    early = [row for row in dated if row[0] < synchronised]
    assert len(early) >= 15
    assert heard - dt.timedelta(seconds=5) < early[0][0] < heard + _SLACK
    # Each value is stored once and in its place: the values tell in which order they were
    # measured.
    values = [int(value) for _, value in dated]
    assert values == [60 + (values[0] - 60 + n) % 120 for n in range(len(values))]
    assert all(time_ < _now() for time_, _ in dated)
    pi.cut()
    await asyncio.sleep(1)

    # The same again, for longer than the agent may listen without knowing the time.
    stored = len(_rows(whole))
    pi.boot(off_ms=-7 * _DAYS_MS, undated_s=15.0)
    await _until(lambda: pi.count("refused_measurements_total", reason="undated") > 0)
    assert pi.count("measuring") == 0
    refused = pi.count("refused_measurements_total", reason="undated")
    assert pi.count("measurements_total", outcome="refused") == refused
    pi.synchronise()
    await _until(lambda: pi.count("measuring") == 1 and len(_rows(whole)) > stored + 5)
    ends = [row[0] for row in _rows(whole)]
    gaps = [
        later - earlier for earlier, later in zip(ends[stored - 1 :], ends[stored:], strict=False)
    ]
    assert max(gaps).total_seconds() > 3
    pi.cut()
