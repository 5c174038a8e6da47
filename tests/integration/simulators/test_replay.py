"""`vitalveil simulate replay` as a process."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.people.people import pick
from tests.fakes.simulators import ListeningAgent


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for the address of a socket."""
    with tempfile.TemporaryDirectory(prefix="vv-") as name:
        yield Path(name)


@pytest.mark.parametrize("ends", ["by itself", "by a signal"])
async def test_replay_ends_with_its_books(folder: Path, ends: str) -> None:
    """However a replay ends, its report counts the records that the agent got."""
    agent = ListeningAgent(folder / "agent.sock")
    (folder / "data").mkdir()
    [person] = pick(folder / "data", 1, seed=5)
    command = ["simulate", "replay", "--source", str(folder / "data"), "--subjects", "1"]
    options = ["--agents", str(agent.path), "--seed", "5", "--json", "--max-rate", "100"]
    if ends == "by itself":
        options += ["--duration", "2"]
    async with agent.serving():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vitalveil", *command, *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await agent.listen(**{"x" + s.address.replace(":", ""): 0 for s in person.sensors})
        await agent.wait_for(20)
        if ends == "by a signal":
            process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
        report = json.loads(out)
        await agent.wait_for(report["handed_over"])

    assert process.returncode == 0
    assert b"source: persona" in err
    assert report["source"] == "persona"
    assert report["handed_over"] == len(agent.shown)
    assert report["repeated"] == report["overrun"] == report["pending"] == 0
    assert sum(report["values"].values()) + sum(report["faults"].values()) == len(agent.shown)
