"""Latency at a steady rate: from measured to queryable, on a schedule that does not wait."""

import time
from typing import Final

import msgspec
import numpy as np

from benchmarks.errors import Unaccounted
from benchmarks.rounds import Sample
from benchmarks.world.fleet import Fleet, Shape
from benchmarks.world.world import WORKERS, World, wait_until_settled
from ingest.admission.columns import Ints

READINGS: Final = 30
_LEAD_S: Final = 1.0
_SEALS_PER_S: Final = 15_000
"""How many envelopes a slow machine seals in a second; it decides how early sealing begins."""
_QUERY: Final = (
    "SELECT (extract(epoch FROM pg_xact_commit_timestamp(x)) - extract(epoch FROM newest)) * 1000"
    " FROM (SELECT xmin AS x, series_id, max(time) AS newest FROM vv.observations"
    " GROUP BY xmin, series_id) t WHERE newest > to_timestamp(%s)"
)
_NAME: Final = "vitalveil_ingest_measured_to_queryable_seconds"


class Paced(msgspec.Struct, frozen=True):
    """A steady load: its rate and its duration."""

    rate: float
    duration_s: float
    series: int = 2000
    warm_up_s: float = 1.0
    """Seconds that are not counted, because every gateway is met for the first time in them."""

    def shape(self) -> Shape:
        """Return the shape of a fleet that sends in this time, each series without a gap."""
        step_ms = max(1, int(1000 * self.series / self.rate / READINGS))
        return Shape(self.series, READINGS, int(self.rate * self.duration_s), step_ms=step_ms)


def measure(world: World, load: Paced) -> Sample:
    """
    Publish at a steady rate; return percentiles from measured to queryable, in ms.

    The newest observation of an envelope is measured at the instant at which the schedule sends
    the envelope, whether the generator is late or not.
    """
    world.telemetry.reset()
    shape = load.shape()
    count = shape.envelopes
    world.sow(shape.members(), interval_ms=shape.step_ms)
    worker = world.start_ingest(wait=True)
    begin_s = time.time() + _LEAD_S + count / _SEALS_PER_S
    fleet = PacedFleet(shape, begin_s=begin_s, rate=load.rate, world=world)
    messages = fleet.messages()
    time.sleep(max(0.0, begin_s - time.time()))
    late_s = world.publish(messages, rate=load.rate)
    wait_until_settled([worker], count, timeout_s=60)
    said = worker.metrics()
    worker.child.stop()
    world.forget(WORKERS[0])
    if (rows := world.telemetry.count()) != shape.rows:
        raise Unaccounted("rows", expected=shape.rows, got=rows)
    counted = world.telemetry.fetch(_QUERY, begin_s + load.warm_up_s)
    waits_ms = np.array([float(wait_ms) for (wait_ms,) in counted])
    p50, p90, p99, top = np.percentile(waits_ms, (50, 90, 99, 100)).tolist()
    return {
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": top,
        "p99_of_histogram": 1000 * (said.quantile(_NAME, 0.99) or 0.0),
        "rate": load.rate,
        "generator_late": late_s * 1000,
    }


class PacedFleet(Fleet):
    """A fleet whose envelopes end at the instant of their sending."""

    def __init__(self, shape: Shape, *, begin_s: float, rate: float, world: World) -> None:
        super().__init__(shape, start_ms=int(begin_s * 1000), ingest_key=world.ingest_key)
        sent_ms = (begin_s + np.arange(shape.envelopes) / rate) * 1000
        self._starts_ms = sent_ms.astype(np.int64) - shape.step_ms * (shape.readings - 1)

    def starts_ms(self) -> Ints:
        return self._starts_ms
