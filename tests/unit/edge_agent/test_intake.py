"""Measurements before the pipeline: none is offered without a time, and each is counted."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from prometheus_client import CollectorRegistry

from edge_agent.intake import Intake
from edge_agent.metrics import Metrics
from edge_agent.pipeline.batch_queue import BatchLimits
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.values.measurement import Measurement
from tests.fakes.edge_agent import SENSOR, ManualClock, grant, lease


class _Clock(ManualClock):
    """A clock whose time is unknown until the test tells it."""

    is_known = False
    step_ms: int | None = None

    def is_dated(self) -> bool:
        return self.is_known

    def look(self) -> int | None:
        step_ms, self.step_ms = self.step_ms, None
        if step_ms is not None:
            self.is_known = True
            self.time_ms += step_ms
        return step_ms


class _Sensors:
    """Sensors that deliver what the test has put there, once."""

    def __init__(self) -> None:
        self.waiting: list[Measurement] = []

    async def listen(self, sensors: Mapping[str, int]) -> None: ...

    def advance(self, cursors: Mapping[str, int]) -> None: ...

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        taken, self.waiting = self.waiting, []
        return taken


class _Bench:
    """An intake with its parts, under a lease that allows a heart rate."""

    def __init__(self) -> None:
        self.clock, self.sensors = _Clock(), _Sensors()
        self.pipeline, self.metrics = Pipeline(BatchLimits()), Metrics(CollectorRegistry())
        self.pipeline.adopt(lease(grant()), [], {}, now=self.clock.now())
        self.intake = Intake(self.clock, self.sensors, self.pipeline, self.metrics)

    def measurement(self) -> Measurement:
        """Return a heart rate of now."""
        return Measurement(SENSOR, 1, self.clock.now_ms(), 70)


@pytest.fixture
def bench() -> _Bench:
    """An intake whose clock is not dated."""
    return _Bench()


def test_without_a_time_nothing_is_offered(bench: _Bench) -> None:
    """What is held, and what sensors have left, reaches the pipeline only once it is dated."""
    bench.sensors.waiting = [bench.measurement()]
    asyncio.run(bench.intake.hold([bench.measurement()]))
    bench.intake.offer([bench.measurement()])
    assert bench.sensors.waiting == []
    assert bench.pipeline.pending == 0

    bench.clock.step_ms = 0
    bench.intake.follow_clock()

    assert bench.pipeline.pending > 0


def test_with_a_time_a_measurement_is_offered_at_once(bench: _Bench) -> None:
    """Nothing waits outside the pipeline while the time is known."""
    bench.clock.is_known = True
    bench.intake.offer([bench.measurement()])
    assert bench.pipeline.pending == 1


def test_what_is_dropped_is_never_offered(bench: _Bench) -> None:
    """After the lease has ended, what waited for the time is gone."""
    bench.intake.offer([bench.measurement()])
    bench.intake.drop_undated()
    bench.clock.step_ms = 0
    bench.intake.follow_clock()
    assert bench.pipeline.pending == 0
