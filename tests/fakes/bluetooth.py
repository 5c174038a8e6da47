"""Doubles around the radio, and helpers that the radio's tests share."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from prometheus_client import CollectorRegistry

from edge_agent.bluetooth.models import NO_MODELS, Models
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.escalation import EscalationDelays
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.bluetooth.radio.scanner import ScanTiming
from edge_agent.bluetooth.records.record_access import RequestTiming
from edge_agent.bluetooth.sensors import BluetoothSensors, RadioTimeouts, WatchedHost
from edge_agent.bluetooth.session import ClockPolicy, SessionTiming
from edge_agent.ports import Clock
from edge_agent.sources.clock import SystemClock
from edge_agent.values.measurement import Measurement
from wire.refusals import Refusal

QUICK = RadioTimeouts(
    timing=SessionTiming(
        silence_s=0.5,
        session_silence_s=1.0,
        rest_s=0.2,
        records=RequestTiming(idle_s=0.5, busy_s=0.02),
    ),
    steps=EscalationDelays(new_scanner_s=0.2, power_cycle_s=0.6, restart_s=1.2, exit_s=5.0),
    longest_wait_s=0.3,
    sensor_wait_s=0.6,
    rhythm=ScanTiming(window_s=1.0, rest_s=0.1),
)
"""Time-outs for tests, as short as possible."""


class SettableClock(SystemClock):
    """The clocks of this machine, with a time of day that the test sets."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self.is_known = True
        """Whether the time of day is known."""

    def is_dated(self) -> bool:
        return self.is_known

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


class ToldHost:
    """A host whose Bluetooth the test turns on and off; counts the actions on it."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._changed: Callable[[bool], None] = lambda _: None

    def tell(self, is_up: bool) -> None:
        """Turn Bluetooth on or off."""
        self._changed(is_up)

    async def watch(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        changed(True)
        await asyncio.Event().wait()

    async def connected(self) -> Collection[str]:
        return ()

    async def power_on(self) -> None:
        self.done["power_on"] += 1

    async def power_cycle(self) -> None:
        self.done["power_cycle"] += 1

    async def restart(self) -> None:
        self.done["restart"] += 1


class Collector:
    """
    Takes measurements from `Sensors` as the agent does, and reports what is durable.

    Args:
        sensors: The port.

        registry: The metrics of the sensors.
    """

    def __init__(self, sensors: BluetoothSensors, registry: CollectorRegistry) -> None:
        self.sensors = sensors
        self.taken: list[Measurement] = []
        self.refused: Counter[Refusal] = Counter()
        self.registry = registry
        self.keeps = True
        """Whether measurements are durable at once."""

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.registry.get_sample_value("vitalveil_agent_" + name, labels) or 0.0

    def of(self, quantity: int, *, sensor: str | None = None) -> list[Measurement]:
        """Return the measurements of *quantity* that were taken."""
        return [m for m in self.taken if m.quantity == quantity and sensor in (None, m.sensor)]

    def taken_of_records(self) -> list[Measurement]:
        """Return the measurements that came from a sensor's stored records."""
        return [m for m in self.taken if m.record is not None]

    async def take(self) -> None:
        """Take the measurements that wait now."""
        for measurement in await self.sensors.take(within_s=0.02):
            self.taken.append(measurement)
            if self.keeps and measurement.record is not None:
                self.sensors.advance({measurement.sensor: measurement.record})

    async def until(self, done: Callable[[], bool], *, within_s: float = 10.0) -> None:
        """Take measurements until *done* holds."""
        async with asyncio.timeout(within_s):
            while not done():
                await self.take()

    async def during(self, seconds: float) -> None:
        """Take measurements for *seconds*."""
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: False, within_s=seconds)


@contextlib.asynccontextmanager
async def collecting(
    radio: Radio,
    host: WatchedHost,
    cursors: Mapping[str, int],
    *,
    patience: RadioTimeouts = QUICK,
    trust: ClockPolicy | None = None,
    clock: Clock | None = None,
    models: Models = NO_MODELS,
) -> AsyncIterator[Collector]:
    """Listen to the sensors of *cursors* while the context is open."""
    registry = CollectorRegistry()
    collector: Collector
    sensors = BluetoothSensors(
        radio=radio,
        host=host,
        clock=clock or SystemClock(),
        metrics=RadioMetrics(registry),
        refused=lambda reason: collector.refused.update([reason]),
        random=random.Random(1).random,
        patience=patience,
        trust=trust,
        models=models,
    )
    collector = Collector(sensors, registry)
    async with sensors.serve():
        await sensors.listen(cursors)
        yield collector
