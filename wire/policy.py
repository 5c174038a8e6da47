"""
The minimisation rule of one quantity for one purpose, shared by the gateway and ingest.

The edge agent makes observations conform (`coarsen_time`, `coarsen_value`). Ingest checks that
they do (`conforms`), and refuses finer observations. Both use the same integers: values in steps
of the quantity's resolution, times in ms since 1970-01-01T00:00Z.
"""

import enum
import math
from collections.abc import Sequence

import msgspec

from wire.quantities import MISSING


class Aggregate(enum.StrEnum):
    """Which value represents an interval in which several were measured."""

    FIRST = "first"
    """The first value, known at once: nothing waits for the end of the interval."""
    LAST = "last"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


class Rule(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The finest resolution that may leave the gateway, for one quantity."""

    quantity: int
    step: int = 1
    """Values are whole multiples of this many steps of resolution."""
    interval_ms: int = 1
    """At most one observation in each interval of this length, counted from 1970."""
    time_step_ms: int = 1
    """Times are whole multiples of this many milliseconds."""
    aggregate: Aggregate = Aggregate.FIRST

    def __post_init__(self) -> None:
        if not (0 <= self.quantity < 1 << 16):
            raise ValueError("the quantity of a rule must be from 0 to 65535")
        if not (1 <= self.step < 1 << 15):
            raise ValueError("the step of a rule must be from 1 to 32767")
        if self.interval_ms < 1 or self.time_step_ms < 1:
            raise ValueError("interval_ms and time_step_ms of a rule must be at least 1")
        # Otherwise coarsening a time could move an observation into the previous interval.
        if self.interval_ms % self.time_step_ms:
            raise ValueError("time_step_ms of a rule must divide its interval_ms")

    def is_within(self, other: "Rule") -> bool:
        """Tell whether all observations that conform to this rule also conform to *other*."""
        return self.quantity == other.quantity and not (
            self.step % other.step
            or self.interval_ms % other.interval_ms
            or self.time_step_ms % other.time_step_ms
        )

    def narrowed(self, later: "Rule") -> "Rule | None":
        """
        Return the finest rule that satisfies both this rule and *later*.

        Args:
            later: A rule for the same quantity. The result uses its aggregate.

        Returns:
            The rule; None if no rule can express such a coarse resolution.
        """
        step = math.lcm(self.step, later.step)
        interval_ms = math.lcm(self.interval_ms, later.interval_ms)
        if step >= 1 << 15 or interval_ms >= 1 << 63:
            return None
        return Rule(
            self.quantity,
            step,
            interval_ms,
            math.lcm(self.time_step_ms, later.time_step_ms),
            later.aggregate,
        )

    def interval_of(self, time_ms: int) -> int:
        """Return the number of the interval that contains *time_ms*, counted from 1970."""
        return time_ms // self.interval_ms

    def coarsen_time(self, time_ms: int) -> int:
        """Return the latest allowed time that is not after *time_ms*, ms since 1970."""
        return time_ms - time_ms % self.time_step_ms

    def coarsen_value(self, steps: int) -> int:
        """Return the allowed value nearest to *steps* of resolution; ties are rounded up."""
        return (steps + self.step // 2) // self.step * self.step

    def conforms(self, times_ms: Sequence[int], values: Sequence[int]) -> bool:
        """
        Tell whether a run of n observations is no finer than this rule allows.

        Args:
            times_ms: n times, ms since 1970, in the order of the run.

            values: n values in steps of resolution; `MISSING` where there is none.
        """
        intervals = {self.interval_of(t) for t in times_ms}
        return (
            len(intervals) == len(times_ms)
            and all(t % self.time_step_ms == 0 for t in times_ms)
            and all(v == MISSING or v % self.step == 0 for v in values)
        )
