"""A pipeline of the agent with its spool in memory, to which a test says records."""

from collections import Counter

from edge_agent.pipeline.batch_queue import BatchLimits
from edge_agent.pipeline.pipeline import Flush, Pipeline, marks_of
from edge_agent.values.checkpoint import Checkpoint
from edge_agent.values.measurement import Measurement, Outcome
from tests.fakes.edge_agent import (
    SENSOR,
    ManualClock,
)
from wire.envelope import Body
from wire.lease import Lease
from wire.quantities import QUANTITIES
from wire.refusals import Refusal

START_MS = 1_767_225_600_000
LIMITS = BatchLimits(max_observations=5, max_age_s=1.0, max_ahead_ms=1000)


class Bench:
    """A pipeline with a clock, and marks that survive a restart."""

    def __init__(self, held: Lease, limits: BatchLimits = LIMITS) -> None:
        self.clock = ManualClock(START_MS)
        self.limits = limits
        self.marks: dict[Checkpoint, int] = {}
        self.cursors: dict[str, int] = {}
        self.bodies: list[Body] = []
        self.outcomes: Counter[Outcome] = Counter()
        self.held = held
        self.begin()

    def begin(self) -> None:
        """Start a process with the marks that the last one saved."""
        self.pipeline = Pipeline(self.limits)
        self.adopt(self.held)

    def adopt(self, held: Lease, *past: Lease) -> int:
        """Change the lease; return how many observations were dropped."""
        self.held = held
        known = {mark: self.marks[mark] for mark in marks_of(held) if mark in self.marks}
        adopted = self.pipeline.adopt(held, past, known, now=self.clock.now())
        self.save(adopted.flush)
        return adopted.dropped

    def due_in_s(self) -> float | None:
        """Return when the next batch is due, in seconds."""
        return self.pipeline.due_in_s(now_ms=self.clock.now_ms(), now=self.clock.now())

    def say(
        self,
        value: float | None,
        *,
        record: int | None = None,
        sensor: str = SENSOR,
        quantity: int = 1,
        at_ms: int | None = None,
        fault: Refusal | None = None,
        is_single: bool = False,
    ) -> Outcome:
        """Take a live measurement."""
        at_ms = self.clock.now_ms() if at_ms is None else at_ms
        known = QUANTITIES.get(quantity, QUANTITIES[1])
        steps = None if value is None else known.to_steps(value)
        outcomes = self.pipeline.offer(
            Measurement(sensor, quantity, at_ms, steps, fault, record, is_single),
            now_ms=self.clock.now_ms(),
            now=self.clock.now(),
        )
        self.outcomes.update(outcomes)
        return outcomes[0]

    def save(self, flush: Flush) -> None:
        """Make *flush* durable."""
        self.bodies += flush.bodies
        self.marks |= flush.marks
        self.cursors |= flush.cursors

    def take_all(self) -> None:
        """Stop gracefully; return the last observations."""
        self.save(self.pipeline.take_all(now=self.clock.now()))

    def out(self) -> list[tuple[bytes, int, int, int]]:
        """Return handle, quantity, time and value of all emitted observations."""
        return [
            (body.handle, block.quantity, at_ms, value)
            for body in self.bodies
            for block in body.blocks
            for at_ms, value in zip(block.times_ms(), block.unpacked_values(), strict=True)
        ]
