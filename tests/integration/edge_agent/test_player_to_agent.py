"""The player and the agent's source of recorded sensors, on one socket."""

import asyncio
import tempfile
from pathlib import Path

from edge_agent.sources.recorded import RecordedSensors
from edge_agent.values.measurement import Measurement
from simulators.people.people import pick
from simulators.replay.player import Player
from tests.support.readings import value_of


async def take(sensors: RecordedSensors, count: int) -> list[Measurement]:
    """Return the next measurements, at least *count*."""
    taken: list[Measurement] = []
    async with asyncio.timeout(20):
        while len(taken) < count:
            taken += await sensors.take(within_s=1)
    return taken


async def test_agent_understands_every_line_of_the_player() -> None:
    """Values and faults of invented people arrive as measurements, and no line is malformed."""
    malformed: list[None] = []
    agent = RecordedSensors(malformed=lambda: malformed.append(None))
    worn = [sensor for person in pick(None, 4, seed=1) for sensor in person.sensors]
    with tempfile.TemporaryDirectory(prefix="vv-") as folder:
        path = Path(folder) / "agent.sock"
        player = Player(worn, [path], speed=20_000, max_hz=200)
        playing = asyncio.create_task(player.run())
        async with agent.serve(path):
            await agent.listen({sensor.address: 0 for sensor in worn})
            before = await take(agent, 600)
            await agent.listen({worn[0].address: 0})
            after = await take(agent, 400)
        playing.cancel()
        await asyncio.wait([playing])

    assert malformed == []
    assert {m.sensor for m in before} == {sensor.address for sensor in worn}
    assert {m.sensor for m in after[-100:]} == {worn[0].address}
    for sensor in worn:
        records = [m.record for m in before + after if m.sensor == sensor.address]
        assert records == list(range(1, len(records) + 1))
    faults = [m for m in before if m.fault is not None]
    assert all((value_of(m) is None) == (m in faults) for m in before)
