"""The moment in which the time becomes known: nothing stamped before it is taken for dated."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from edge_agent.agent import Agent
from edge_agent.backoff import Backoff
from edge_agent.keeper import Keeper
from edge_agent.leases import Leases
from edge_agent.measurement import Measurement
from edge_agent.metrics import Metrics
from edge_agent.outbox import Limits as OutboxLimits
from edge_agent.outbox import Outbox
from edge_agent.pipeline import Limits, Pipeline
from edge_agent.seal import Seal
from edge_agent.service import Service
from edge_agent.spool import Bounds, SqliteSpool
from edge_agent.tags import Tags
from edge_agent.uplink import Uplink
from tests.fakes_edge_agent import SENSOR, MemoryShelf, NoBroker, grant, lease
from wire import lease as wire_lease
from wire.envelope import decode_envelope
from wire.quantities import Code
from wire.sealing import Opener

_AGENT = "0" * 16
_BEHIND_MS = 60_000
_TODAY_MS = 1_767_225_600_000


class UndatedClock:
    """A clock that is a minute behind until it is told the time, when it is looked at."""

    def __init__(self) -> None:
        self.is_told = False
        self._is_dated = False

    def now(self) -> float:
        return 10.0

    def now_ms(self) -> int:
        return _TODAY_MS - (0 if self._is_dated else _BEHIND_MS)

    def is_dated(self) -> bool:
        return self._is_dated

    def is_behind(self) -> bool:
        return False

    def look(self) -> int | None:
        self._is_dated = self.is_told
        return None

    def is_past(self, at_ms: int) -> None:
        """Know that already."""

    def keep(self, *, is_last: bool = False) -> None:
        """Keep nothing."""


class QueuedSensors:
    """Sensors that hand over what was queued, one list each time that they are asked."""

    def __init__(self) -> None:
        self.queue: list[list[Measurement]] = []

    async def listen(self, cursors: Mapping[str, int]) -> None:
        """Listen to whom it may."""

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Note nothing."""

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        return self.queue.pop(0) if self.queue else []


class Scene:
    """An agent with an hour's lease, its clock, its sensors and what it has kept."""

    def __init__(self, spool: SqliteSpool) -> None:
        self.clock, self.sensors, self.spool = UndatedClock(), QueuedSensors(), spool
        self._ingest_key = X25519PrivateKey.generate()
        metrics, key = Metrics(CollectorRegistry()), X25519PrivateKey.generate()
        trust_key = Ed25519PrivateKey.generate()
        leases = Leases(
            agent=_AGENT,
            trust_key=trust_key.public_key(),
            agent_key=key,
            shelf=MemoryShelf(),
        )
        given = lease(grant(), agent=_AGENT, issued_at_ms=_TODAY_MS - 30 * _BEHIND_MS)
        leases.offer(wire_lease.encode(given, trust_key=trust_key, agent_key=key.public_key()))
        uplink = Uplink(
            broker=NoBroker(),
            spool=spool,
            outbox=Outbox(OutboxLimits()),
            clock=self.clock,
            backoff=Backoff(lambda: 1.0),
            metrics=metrics,
        )
        seal = Seal(
            agent=_AGENT,
            spool_id=spool.spool_id,
            ingest_key=self._ingest_key.public_key(),
            random_bytes=os.urandom,
        )
        keeper = Keeper(
            clock=self.clock,
            spool=spool,
            seal=seal,
            leases=leases,
            uplink=uplink,
            metrics=metrics,
            max_age_s=1e9,
        )
        self.agent = Agent(
            software="test",
            clock=self.clock,
            sensors=self.sensors,
            spool=spool,
            pipeline=Pipeline(Limits(max_age_s=0.0)),
            leases=leases,
            keeper=keeper,
            uplink=uplink,
            service=Service({}, now=0.0),
            metrics=metrics,
            undated_s=600.0,
        )

    def measured(self, *offsets_ms: int) -> list[Measurement]:
        """Return heart rates that came so much before now, as the clock stamps them."""
        now_ms = self.clock.now_ms()
        return [Measurement(SENSOR, Code.HEART_RATE, now_ms - ms, 60.0) for ms in offsets_ms]

    async def kept(self) -> list[int]:
        """Return how long before now each observation is dated that the spool holds."""
        opener = Opener([self._ingest_key])
        bodies = [
            opener.open(_AGENT, decode_envelope(spooled.payload))
            for spooled in await self.spool.peek(after=0, limit=1000)
        ]
        times = [at for body in bodies for block in body.blocks for at in block.times_ms()]
        return [_TODAY_MS - at_ms for at_ms in times]


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """An agent that has started and does not know the time."""
    key = X25519PrivateKey.generate()
    spool = await SqliteSpool.open(
        tmp_path, Tags(key), new_spool_id=bytes(16), bounds=Bounds(1 << 20)
    )
    scene = Scene(spool)
    await scene.agent._start()
    yield scene
    await spool.close()


async def test_all_that_was_stamped_before_moves(scene: Scene) -> None:
    """What is in hand and what waits with the sensors is as undated as what came long before."""
    scene.sensors.queue = [scene.measured(9000), []]
    await scene.agent._round()
    assert await scene.kept() == []

    # In the round in which the time becomes known: taken already, and still with the sensors.
    scene.sensors.queue = [scene.measured(3000), scene.measured(2000), scene.measured(1000), []]
    scene.clock.is_told = True
    await scene.agent._round()
    scene.sensors.queue = [scene.measured(0)]
    await scene.agent._round()

    assert await scene.kept() == [9000, 3000, 2000, 1000, 0]


async def test_who_leaves_without_the_time_counts(scene: Scene) -> None:
    """What nobody could date when the agent ends is refused as undated, and not kept."""
    scene.sensors.queue = [scene.measured(2000, 1000), []]
    await scene.agent._round()
    scene.sensors.queue = [scene.measured(500), []]
    await scene.agent._leave()
    assert await scene.kept() == []
    totals = scene.agent.state(True).totals
    assert isinstance(totals, dict)
    assert [count for name, count in totals.items() if "undated" in name] == [3]
