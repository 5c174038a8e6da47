"""A lease takes effect completely, even if the connection that brought it ends."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import pytest_asyncio

from edge_agent.config import BatchSettings
from edge_agent.spool import database_file
from edge_agent.spool.spool import SqliteSpool
from edge_agent.spool_writer import EVERY_S
from edge_agent.values.measurement import Measurement
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, OTHER_SENSOR, SENSOR, grant
from tests.support.agents.hurried import HurriedClock
from tests.support.agents.lone_agent import LoneAgent, opened
from wire.quantities import Code


class SlowSensors:
    """
    Sensors that hand over queued measurements, and accept a change only when the gate is
    open.
    """

    def __init__(self) -> None:
        self.queue: list[Measurement] = []
        self.listening: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def listen(self, cursors: Mapping[str, int]) -> None:
        await self.gate.wait()
        self.listening = set(cursors)

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Ignore the cursors."""

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        await asyncio.sleep(min(within_s, 0.01))
        taken, self.queue = self.queue, []
        return taken


class Scene:
    """An agent without a broker, which measures the heart rate of two people."""

    def __init__(self, folder: Path, spool: SqliteSpool) -> None:
        self.folder, self.spool, self.sensors = folder, spool, SlowSensors()
        self.clock = HurriedClock()
        batch = BatchSettings(max_age_s=3600.0)
        self._lone = LoneAgent(folder, spool, clock=self.clock, sensors=self.sensors, batch=batch)
        self.agent, self.value = self._lone.agent, self._lone.value

    def lease(self, version: int, *handles: bytes) -> bytes:
        """Return a lease of *handles*, as it is published."""
        sensors = {HANDLE: SENSOR, OTHER_HANDLE: OTHER_SENSOR}
        grants = [grant(handle, [sensors[handle]]) for handle in handles]
        return self._lone.lease(version, *grants, issued_at_ms=self.clock.now_ms() - 1000)

    async def measure(self) -> None:
        """Measure each person once, and wait until the values are in memory."""
        now_ms = self.clock.now_ms()
        self.sensors.queue = [
            Measurement(sensor, Code.HEART_RATE, now_ms, 60) for sensor in (SENSOR, OTHER_SENSOR)
        ]
        await until(lambda: self.value("pending_measurements") == 2)

    async def bring(self, sealed: bytes, *, cut_when: Callable[[], bool]) -> None:
        """Hand over a lease as the uplink does, and cancel that as soon as *cut_when* holds."""
        bringing = asyncio.create_task(self.agent.take_lease(sealed))
        await until(lambda: cut_when() or bringing.done())
        bringing.cancel()
        await asyncio.wait([bringing])


async def until(done: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Wait until *done* holds."""
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - nobody tells of all of it
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """An agent that measures under the lease of two people."""
    async with opened(tmp_path) as spool:
        scene, stop = Scene(tmp_path, spool), asyncio.Event()
        running = asyncio.create_task(scene.agent.run(stop))
        await asyncio.sleep(0)
        await until(lambda: scene.value("measuring") == 0 and not scene.sensors.listening)
        await scene.agent.take_lease(scene.lease(1, HANDLE, OTHER_HANDLE))
        yield scene
        scene.sensors.gate.set()
        stop.set()
        await running


async def test_lease_is_obeyed_though_its_connection_ends(scene: Scene) -> None:
    """
    If the link breaks while a lease arrives, the withdrawn person is still neither measured nor
    kept.
    """
    await scene.measure()
    scene.sensors.gate.clear()
    await scene.bring(scene.lease(2, HANDLE), cut_when=lambda: scene.agent.state(True).lease == 2)
    scene.sensors.gate.set()

    await until(lambda: scene.value("lease_version") == 2)
    await until(lambda: scene.sensors.listening == {SENSOR})
    await until(lambda: scene.value("appended_observations_total") == 1)


async def test_nothing_is_kept_twice_when_a_connection_ends(scene: Scene) -> None:
    """If a lease comes while envelopes are written, they are kept once, cancelled or not."""
    await scene.measure()
    with contextlib.closing(sqlite3.connect(scene.folder / database_file.NAME)) as other:
        # Keeps the spool busy, as a slow disk would.
        other.execute("BEGIN IMMEDIATE")
        await scene.bring(
            scene.lease(2, HANDLE, OTHER_HANDLE),
            cut_when=lambda: scene.value("lease_version") == 2,
        )
        other.execute("ROLLBACK")

    await until(lambda: scene.value("appended_observations_total") >= 2)
    assert scene.spool.stats().depth == 2


async def test_purge_is_finished_though_nobody_measures_any_more(scene: Scene) -> None:
    """
    A purge that a reader has delayed is completed as soon as the reader ends, without
    any append.
    """
    await scene.measure()
    await scene.agent.take_lease(scene.lease(2, HANDLE, OTHER_HANDLE))
    with contextlib.closing(database_file.open_read_only(scene.folder)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM held").fetchone() == (2,)
        await scene.spool._run(lambda: scene.spool._db.execute("PRAGMA busy_timeout = 1"))
        await scene.agent.take_lease(scene.lease(3))
        assert scene.spool.has_remains
    scene.clock.skip(2 * EVERY_S)
    await until(lambda: not scene.spool.has_remains)
