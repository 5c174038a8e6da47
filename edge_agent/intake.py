"""
From sensors to the pipeline: measurements are dated before they are offered.

While the time of day is unknown, they wait in memory. Once it is known, they are dated by how long
ago they came.
"""

from collections.abc import Sequence

from edge_agent.metrics import Metrics
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.pipeline.undated_buffer import UndatedBuffer
from edge_agent.ports import KeptTime, Sensors
from edge_agent.values.measurement import Measurement
from runtime.logs import Log
from wire.refusals import Refusal

_log = Log("agent")


class Intake:
    """
    Offers dated measurements to the pipeline, and counts what becomes of them.

    Args:
        clock: The clocks of this machine.

        sensors: Measure.

        pipeline: Takes measurements whose time is known.

        metrics: The counters of this agent.
    """

    def __init__(
        self, clock: KeptTime, sensors: Sensors, pipeline: Pipeline, metrics: Metrics
    ) -> None:
        self._clock = clock
        self._sensors = sensors
        self._pipeline = pipeline
        self._metrics = metrics
        self._undated = UndatedBuffer()

    async def hold(self, measurements: Sequence[Measurement]) -> None:
        """
        Hold *measurements*, and everything that the sensors have, until the time is known.

        A measurement stamped before that must not be offered after it, because it would count as
        dated. On return no sensor has any left, and no other task has run since.
        """
        while True:
            self._hold(measurements)
            measurements = await self._sensors.take(within_s=0)
            if not measurements:
                return

    def _hold(self, measurements: Sequence[Measurement]) -> None:
        self._metrics.refused(Refusal.UNDATED, self._undated.hold(measurements))

    def follow_clock(self) -> set[str]:
        """
        Follow the machine's clock; once it is known, date the measurements that waited.

        Returns:
            The sensors whose stored records had no room: they must be asked for them again before
            anything later is taken from them.
        """
        incomplete: set[str] = set()
        was_dated, before_ms = self._clock.is_dated(), self._clock.now_ms()
        step_ms = self._clock.look()
        self._metrics.clock_dated.set(self._clock.is_dated())
        if step_ms is not None:
            self._metrics.clock_steps.inc()
            _log.warning("clock_stepped", by_ms=step_ms)
        if self._clock.is_dated() and not was_dated:
            _log.info("clock_known", waited=len(self._undated))
            incomplete = set(self._undated.incomplete)
            self.offer(self._undated.release(shift_ms=self._clock.now_ms() - before_ms))
        self._clock.keep()
        return incomplete

    def offer(self, measurements: Sequence[Measurement]) -> None:
        """Offer *measurements* to the pipeline, or hold them while the time is unknown."""
        now_ms, latest_ms = self._clock.now_ms(), self._clock.latest_ms()
        now = self._clock.now()
        if not self._clock.is_dated():
            self._hold(measurements)
            return
        for measurement in measurements:
            for outcome in self._pipeline.offer(
                measurement, now_ms=now_ms, latest_ms=latest_ms, now=now
            ):
                self._metrics.decided(outcome)
        self._pipeline.tick(now_ms=now_ms, now=now)

    def drop_undated(self) -> None:
        """Drop the measurements that wait for the time, and count them."""
        self._metrics.refused(Refusal.UNDATED, self._undated.drop())
