"""After a power cut at any moment the spool opens and has everything that it confirmed."""

import asyncio
import random
import shutil
import sys
from pathlib import Path

import pytest

from edge_agent.ports import Amount
from edge_agent.spool import inspection
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.checkpoint import cursor_of
from tests.fakes.edge_agent import SENSOR, agent_environ
from tests.support import power_cut, spool_appender
from tests.support.power_cut import Disk, Event, Say
from tests.support.spool_appender import KEY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]
_APPENDS = 400


def record(folder: Path) -> list[Event]:
    """Record the system calls of a process that appends, settles, evicts and purges."""
    state = folder / "state"
    state.mkdir(parents=True)
    command = [sys.executable, spool_appender.__file__, str(state), str(_APPENDS)]
    power_cut.record(command, folder / "log", agent_environ())
    return power_cut.read(folder / "log", state)


async def check(folder: Path, *, said: int) -> None:
    """Check the promises of the spool in *folder*."""
    spool = await SqliteSpool.open(
        folder, Tags(KEY), new_spool_id=b"t" * 16, bounds=SpoolLimits(1 << 20, min_free_bytes=0)
    )
    assert spool.repair is None
    cursor = spool.marks([cursor_of(SENSOR)]).get(cursor_of(SENSOR), 0)
    assert cursor >= said
    here = await spool.peek(after=0, limit=100_000)
    assert all(int(spooled.payload) == spooled.sequence for spooled in here)
    assert cursor == spool.stats().next_sequence - 1
    await spool.close()
    totals = inspection.look(folder).totals
    gone = totals["settled"] + totals["purged"] + totals["evicted"] + totals["damaged"]
    assert totals["appended"] == gone + Amount(len(here), len(here))
    assert totals["appended"].envelopes == cursor


def cut(folder: Path, *, cuts: int, seed: int) -> None:
    """Simulate *cuts* power cuts, and check the spool after each."""
    events = record(folder / "recorded")
    assert sum(isinstance(event, power_cut.Sync) for event in events) > _APPENDS
    rng = random.Random(seed)
    instants = sorted(rng.randrange(len(events)) for _ in range(cuts))
    disk, done = Disk(), 0
    for number, instant in enumerate(instants):
        for event in events[done:instant]:
            disk.do(event)
        done = instant
        left = folder / f"left-{number}"
        left.mkdir()
        disk.cut(left, rng)
        lines = [line for line in disk.said.split(b"\n")[:-1] if line]
        asyncio.run(check(left, said=int(lines[-1]) if lines else 0))
        shutil.rmtree(left)


def test_power_goes(tmp_path: Path) -> None:
    """Some power cuts, with a new seed each day."""
    cut(tmp_path, cuts=25, seed=random.randrange(1 << 32))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_power_goes_three_hundred_times(tmp_path: Path) -> None:
    """After three hundred power cuts no confirmed envelope is lost."""
    cut(tmp_path, cuts=300, seed=20_260_101)


def test_disk_loses_what_was_not_synced(tmp_path: Path) -> None:
    """
    The simulated disk does lose data that were not synced: a writer without sync would be
    detected.
    """
    path = str(tmp_path / "f")
    disk = Disk()
    disk.do(power_cut.Create(path))
    disk.do(power_cut.Sync(str(tmp_path)))
    disk.do(power_cut.Write(path, 0, b"a" * 1024))
    disk.do(power_cut.Sync(path))
    disk.do(power_cut.Write(path, 0, b"b" * 1024))
    disk.do(Say(b"1\n"))
    left = set()
    for seed in range(40):
        disk.cut(tmp_path, random.Random(seed))
        left.add((tmp_path / "f").read_bytes())
    a, b = b"a" * 512, b"b" * 512
    assert left == {a + a, a + b, b + a, b + b}
