"""The port `Sensors` on Bluetooth."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from edge_agent.bluetooth.clock_memory import ClockMemory, RecentClocks
from edge_agent.bluetooth.inbox import Inbox
from edge_agent.bluetooth.models import NO_MODELS, Models
from edge_agent.bluetooth.notification_sink import SharedState
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.escalation import EscalationDelays
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.bluetooth.radio.recovery import Host, Recovery
from edge_agent.bluetooth.radio.scanner import Scanner, ScanTiming
from edge_agent.bluetooth.sensor import BoundSensor, SensorDependencies, end
from edge_agent.bluetooth.session import ClockPolicy, SessionTiming
from edge_agent.ports import Clock
from edge_agent.values.measurement import Measurement
from runtime.backoff import Backoff
from runtime.logs import Log
from wire.refusals import Refusal

_LEAVE_S: Final = 2.0
"""How long stopping a sensor may take, in seconds: a withdrawal has to be quick."""
_SERVING_S: Final = 10.0
_log = Log("agent.bluetooth")


class WatchedHost(Host, Protocol):
    """The Bluetooth of this machine, with notice of its stops and starts."""

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """Call *changed* each time bluetoothd stops or starts, until cancelled."""
        ...


class RadioTimeouts(msgspec.Struct, frozen=True):
    """The time-outs and pauses of the radio."""

    timing: SessionTiming = SessionTiming()
    steps: EscalationDelays = EscalationDelays()
    longest_wait_s: float = 15.0
    """The longest pause between attempts to connect, in seconds."""
    sensor_wait_s: float = 120.0
    """The longest pause after an error of the sensor itself, in seconds."""
    rhythm: ScanTiming = ScanTiming()


class BluetoothSensors:
    """
    The port `Sensors` for sensors that bleak reaches.

    Args:
        radio: The adapter to use.

        host: Recovers the adapter and bluetoothd.

        clock: The clocks of this machine.

        metrics: The metrics of the radio.

        refused: Counts a value that became no measurement.

        random: Returns a number from 0 to 1.

        patience: The time-outs and pauses.

        trust: How to treat the sensors' clocks.

        models: How models depart from the specification.

        clocks: Remembers the inner clocks of meters; for this process alone if None.
    """

    def __init__(  # noqa: PLR0913 - everything that it stands on, once
        self,
        *,
        radio: Radio,
        host: WatchedHost,
        clock: Clock,
        metrics: RadioMetrics,
        refused: Callable[[Refusal], None],
        random: Callable[[], float],
        patience: RadioTimeouts | None = None,
        trust: ClockPolicy | None = None,
        models: Models = NO_MODELS,
        clocks: ClockMemory | None = None,
    ) -> None:
        patience = patience or RadioTimeouts()
        self._host = host
        self._metrics = metrics
        self._inbox = Inbox()
        self._bound: dict[str, BoundSensor] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._host_is_up = True
        self._scanner = Scanner(
            radio=radio,
            host=host,
            metrics=metrics,
            backoff=Backoff(random, longest_s=5.0),
            rhythm=patience.rhythm,
        )
        self._recovery = Recovery(
            host=host,
            clock=clock,
            metrics=metrics,
            steps=patience.steps,
            is_serving=self._is_serving,
            renew_scanner=self._scanner.renew,
            host_is_up=lambda: self._host_is_up,
        )
        self._means = SensorDependencies(
            radio=radio,
            scanner=self._scanner,
            recovery=self._recovery,
            shared=SharedState(self._inbox, metrics, clock, refused, clocks or RecentClocks()),
            timing=patience.timing,
            trust=trust or ClockPolicy(),
            models=models,
            random=random,
            longest_wait_s=patience.longest_wait_s,
            sensor_wait_s=patience.sensor_wait_s,
            host_is_up=lambda: self._host_is_up,
        )

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Run the tasks of the radio while the context is open."""
        running = [
            self._start(self._scanner.run(self._recovery), "scanner"),
            self._start(self._host.watch(self._host_changed), "host"),
        ]
        try:
            yield
        finally:
            await self.listen({})
            await end([*running, *self._leaving], within_s=_LEAVE_S)

    async def listen(self, cursors: Mapping[str, int]) -> None:
        addresses = {address.upper(): (address, cursor) for address, cursor in cursors.items()}
        leaving = [self._leave(key) for key in self._bound.keys() - addresses.keys()]
        self._scanner.bind(addresses.keys())
        for key, (address, cursor) in addresses.items():
            if key not in self._bound:
                self._join(key, address, cursor)
        self._metrics.bound.set(len(self._bound))
        if leaving:
            await asyncio.wait(leaving, timeout=_LEAVE_S)

    def advance(self, cursors: Mapping[str, int]) -> None:
        for address, cursor in cursors.items():
            bound = self._bound.get(address.upper())
            if bound is not None:
                bound.cursor = cursor

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        if self._failure is not None:
            raise self._failure
        self._metrics.linked.set(sum(bound.is_linked for bound in self._bound.values()))
        return await self._inbox.take(within_s=within_s)

    def _join(self, key: str, address: str, cursor: int) -> None:
        bound = self._bound[key] = BoundSensor(address, cursor, self._means)
        self._tasks[key] = self._start(bound.run(), "sensor")

    def _leave(self, key: str) -> asyncio.Task[None]:
        # From now on its values are ignored, however long disconnecting takes.
        self._bound.pop(key).lose()
        task = self._tasks.pop(key)
        task.cancel()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[None]) -> None:
        """Keep the error of a failed task: the next `take` raises it."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failure = failure

    def _is_serving(self) -> bool:
        return any(bound.heard_within(_SERVING_S) for bound in self._bound.values())

    def _host_changed(self, is_up: bool) -> None:
        # bleak does not notice a restart, and would treat its connections as alive for ever.
        was_up, self._host_is_up = self._host_is_up, is_up
        if was_up and not is_up:
            self._metrics.host_deaths.inc()
            _log.warning("bluetooth_died")
            self._scanner.renew()
            for bound in self._bound.values():
                bound.lose()
        elif is_up and not was_up:
            _log.info("bluetooth_back")
            self._recovery.wake()
