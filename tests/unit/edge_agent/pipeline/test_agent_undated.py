"""
The moment in which the time becomes known: earlier stamps are shifted, and not taken as
dated.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from edge_agent.config import BatchSettings
from edge_agent.pipeline import undated_buffer
from edge_agent.spool.spool import SqliteSpool
from edge_agent.values.measurement import Measurement
from tests.fakes.edge_agent import SENSOR, grant
from tests.support.agents.lone_agent import LoneAgent, opened
from wire.lease import Lease
from wire.quantities import Code

_BEHIND_MS = 60_000
_TODAY_MS = 1_767_225_600_000


class UndatedClock:
    """A clock that is a minute slow until it is synchronised, at the moment when it is read."""

    def __init__(self) -> None:
        self.is_told = False
        self._is_dated = False

    def now(self) -> float:
        return 10.0

    def now_ms(self) -> int:
        return _TODAY_MS - (0 if self._is_dated else _BEHIND_MS)

    def is_dated(self) -> bool:
        return self._is_dated

    def is_wrong(self) -> bool:
        return False

    def look(self) -> int | None:
        self._is_dated = self.is_told
        return None

    def latest_ms(self) -> int:
        return self.now_ms()

    def sure_ms(self) -> int:
        return self.now_ms()

    def adopt(self, lease: Lease) -> None:
        """Ignore the lease: the time is known already."""

    def keep(self, *, is_last: bool = False) -> None:
        """Save nothing."""


class QueuedSensors:
    """Sensors that hand over queued measurements, one list for each call."""

    def __init__(self) -> None:
        self.queue: list[list[Measurement]] = []
        self.listened: list[set[str]] = []

    async def listen(self, cursors: Mapping[str, int]) -> None:
        """Note which sensors may be listened to."""
        self.listened.append(set(cursors))

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Ignore the cursors."""

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        return self.queue.pop(0) if self.queue else []


class Scene:
    """An agent with an hour's lease, its clock, its sensors and its spool."""

    def __init__(self, folder: Path, spool: SqliteSpool) -> None:
        self.clock, self.sensors = UndatedClock(), QueuedSensors()
        batch = BatchSettings(max_age_s=0.0)
        self._lone = LoneAgent(
            folder, spool, clock=self.clock, sensors=self.sensors, batch=batch, undated_s=600.0
        )
        self.agent = self._lone.agent
        issued_at_ms = _TODAY_MS - 30 * _BEHIND_MS
        self._lone.shelve(self._lone.lease(1, grant(), issued_at_ms=issued_at_ms))

    def measured(self, *offsets_ms: int) -> list[Measurement]:
        """Return heart rates from this long before now, stamped by the clock."""
        now_ms = self.clock.now_ms()
        return [Measurement(SENSOR, Code.HEART_RATE, now_ms - ms, 60) for ms in offsets_ms]

    async def kept(self) -> list[int]:
        """Return how long before now each observation in the spool is dated."""
        return [_TODAY_MS - at_ms for at_ms in await self._lone.kept()]


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """An agent that has started and does not know the time."""
    async with opened(tmp_path) as spool:
        scene = Scene(tmp_path, spool)
        await scene.agent._start()
        yield scene


async def test_all_that_was_stamped_before_moves(scene: Scene) -> None:
    """Measurements in hand and those still with the sensors are shifted like all earlier ones."""
    scene.sensors.queue = [scene.measured(9000), []]
    await scene.agent._round()
    assert await scene.kept() == []

    # In the round in which the time becomes known: measurements already taken, and those still
    # with the sensors.
    scene.sensors.queue = [scene.measured(3000), scene.measured(2000), scene.measured(1000), []]
    scene.clock.is_told = True
    await scene.agent._round()
    scene.sensors.queue = [scene.measured(0)]
    await scene.agent._round()

    assert await scene.kept() == [9000, 3000, 2000, 1000, 0]


async def test_who_leaves_without_the_time_counts(scene: Scene) -> None:
    """
    Measurements that are still undated when the agent ends are counted as refused, and
    not kept.
    """
    scene.sensors.queue = [scene.measured(2000, 1000), []]
    await scene.agent._round()
    scene.sensors.queue = [scene.measured(500), []]
    await scene.agent._leave()
    assert await scene.kept() == []
    totals = scene.agent.state(True).totals
    assert isinstance(totals, dict)
    assert [count for name, count in totals.items() if "undated" in name] == [3]


async def test_records_without_room_are_asked_for_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A sensor with more stored records than there is room for begins once more after what is
    durable, before a later record moves the cursor past them.
    """
    monkeypatch.setattr(undated_buffer, "MAX_WAITING", 2)
    monkeypatch.setattr(undated_buffer, "RESERVE", 1)
    now_ms = scene.clock.now_ms()
    stored = [
        Measurement(SENSOR, Code.HEART_RATE, now_ms - 9000 + 1000 * n, 60, record=n)
        for n in range(1, 6)
    ]
    scene.sensors.listened.clear()

    scene.sensors.queue = [stored, []]
    await scene.agent._round()
    assert scene.sensors.listened == []
    scene.clock.is_told = True
    scene.sensors.queue = [[], []]
    await scene.agent._round()
    assert scene.sensors.listened == [set(), {SENSOR}]

    shift_ms = scene.clock.now_ms() - now_ms
    again = [msgspec.structs.replace(one, at_ms=one.at_ms + shift_ms) for one in stored]
    scene.sensors.queue = [again]
    await scene.agent._round()
    assert await scene.kept() == [8000, 7000, 6000, 5000, 4000]
