"""Supervises one bound sensor: find it, connect, take its values, and start again, for ever."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from edge_agent.bluetooth.errors import BluetoothError, NotAuthorised, SensorError, Unanswered
from edge_agent.bluetooth.models import Models
from edge_agent.bluetooth.notification_sink import NotificationSink, SharedState
from edge_agent.bluetooth.radio.client import Link, Radio, connected
from edge_agent.bluetooth.radio.escalation import FailureKind
from edge_agent.bluetooth.radio.metrics import Ending, ending_of
from edge_agent.bluetooth.radio.recovery import Recovery
from edge_agent.bluetooth.radio.scanner import Scanner
from edge_agent.bluetooth.session import ClockPolicy, SensorSession, SessionTiming
from runtime.backoff import Backoff
from runtime.logs import Log

_log = Log("agent.bluetooth")


class SensorDependencies(msgspec.Struct, frozen=True):
    """The parts that the tasks of all sensors share."""

    radio: Radio
    scanner: Scanner
    recovery: Recovery
    shared: SharedState
    timing: SessionTiming
    trust: ClockPolicy
    models: Models
    random: Callable[[], float]
    longest_wait_s: float
    sensor_wait_s: float
    """The longest pause after an error of the sensor itself, in seconds."""
    host_is_up: Callable[[], bool]


class BoundSensor:
    """
    The supervisor of one sensor.

    Args:
        address: The Bluetooth address of the sensor.

        cursor: The number of its last record that is durable.

        means: The parts that the tasks of all sensors share.
    """

    def __init__(self, address: str, cursor: int, means: SensorDependencies) -> None:
        self.cursor = cursor
        self._address = address
        self._means = means
        self._link: Link | None = None
        self._sink: NotificationSink | None = None
        self._is_suspect = False
        self._link_wait = Backoff(means.random, longest_s=means.longest_wait_s)
        self._sensor_wait = Backoff(means.random, first_s=2.0, longest_s=means.sensor_wait_s)

    @property
    def is_linked(self) -> bool:
        """Whether the sensor is connected."""
        return self._link is not None

    def heard_within(self, seconds: float) -> bool:
        """Tell whether the sensor is connected and has sent a value in the last *seconds*."""
        if self._link is None or self._sink is None:
            return False
        return self._means.shared.clock.now() - self._sink.heard_at <= seconds

    def lose(self) -> None:
        """Take no more values over the current connection, and disconnect."""
        if self._link is not None:
            self._link.lose()

    async def run(self) -> None:
        """
        Listen to the sensor until cancelled.

        Raises:
            GaveUp: The radio cannot be recovered.
        """
        while True:
            try:
                pause_s = await self._visit()
            except BluetoothError as exc:
                pause_s = await self._ended(exc)
            else:
                self._means.shared.metrics.ended(Ending.DONE)
            await self._means.recovery.pause(pause_s)

    async def _ended(self, error: BluetoothError) -> float:
        """Take the recovery action that is due for *error*; return the pause in seconds."""
        ending = ending_of(error)
        self._means.shared.metrics.ended(ending)
        _log.info("sensor_attempt_ended", ending=ending.value)
        # Wait longer the next time, to see whether it is out of reach or wants a bond.
        self._is_suspect = isinstance(error, Unanswered | NotAuthorised)
        wait = self._sensor_wait if isinstance(error, SensorError) else self._link_wait
        pause_s = wait.failed()
        await self._means.recovery.failed(error)
        return pause_s

    async def _visit(self) -> float:
        means = self._means
        async with contextlib.AsyncExitStack() as stack:
            async with means.scanner.found(self._address) as found:
                link = await stack.enter_async_context(
                    connected(
                        found.device,
                        means.radio,
                        is_inherited=found.is_connected,
                        is_suspect=self._is_suspect,
                        host_is_up=means.host_is_up,
                    )
                )
            self._link = link
            self._sink = NotificationSink(self._address, means.shared, self._progressed)
            means.shared.metrics.connections.inc()
            means.recovery.worked(FailureKind.STACK)
            try:
                return await link.hold(self._begin(link, self._sink).run())
            finally:
                self._link = None

    def _begin(self, link: Link, sink: NotificationSink) -> SensorSession:
        means = self._means
        cursor = lambda: self.cursor  # noqa: E731 - it moves while the visit lasts
        return SensorSession(link, sink, cursor, means.timing, means.trust, means.models)

    def _progressed(self) -> None:
        self._means.recovery.worked(FailureKind.LINK, FailureKind.DEAF)
        self._link_wait.succeeded()
        self._sensor_wait.succeeded()


async def end(tasks: "list[asyncio.Task[None]]", *, within_s: float) -> None:
    """Cancel *tasks*, and wait a moment for them to disconnect."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=within_s)
