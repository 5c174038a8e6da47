"""
Data minimisation (GDPR art. 5.1.c): coarser values, coarser times, one observation an interval.

Pure. Values are whole steps of the quantity's resolution, times are ms since 1970.
"""

from typing import Final

import msgspec

from edge_agent.pipeline.spent import SpentIntervals
from edge_agent.values.measurement import Measurement, Outcome, Verdict
from wire.policy import Aggregate, Rule
from wire.quantities import Quantity
from wire.refusals import Refusal

GRACE_MS: Final = 1000
"""How long an interval that has ended waits for the rest of a burst of stored records."""

_MAX_OPEN: Final = 64
"""How many intervals may be open at once, for measurements that come out of order."""


class MinimisedObservation(msgspec.Struct, frozen=True):
    """The observation of one interval, as it may leave the gateway."""

    time_ms: int
    value: int
    is_single: bool = False
    """Whether a person took it on purpose: no sensor repeats it, so it is made durable at once."""
    flags: int = 0
    """Bits of `wire.envelope.Flag` of what it was made from."""


class _Interval(msgspec.Struct):
    """An interval that has begun, with the sums from which its observation is made."""

    start_ms: int
    first_ms: int
    last_ms: int
    touched_ms: int
    total: int
    count: int
    low: int
    high: int
    last: int
    records: dict[str, int]
    """By sensor: the lowest record number among its measurements."""
    is_live: bool
    """Whether a measurement of it was live: no sensor can repeat that one."""
    is_single: bool
    """Whether a person took one of its measurements on purpose."""
    flags: int = 0


def coarsen(rule: Rule, quantity: Quantity, steps: int) -> int | None:
    """
    Return the plausible multiple of the rule's step nearest to *steps*; None if there is none.

    Rounding alone could move a plausible value out of its range, where ingest refuses it.
    """
    value = rule.coarsen_value(steps)
    if value > quantity.high:
        value -= rule.step
    elif value < quantity.low:
        value += rule.step
    return value if quantity.is_plausible(value) else None


class Minimiser:
    """
    Reduces the measurements of one quantity under one handle to what *rule* allows.

    It yields at most one observation for each interval, whatever the order in which measurements
    come. It has no clock.

    Args:
        rule: The finest resolution that the lease allows.

        quantity: The quantity that is measured.

        spent_ms: The latest interval that had its observation before this process began ended at
            this time, ms since 1970. What is not recognised as new belongs after it.
    """

    def __init__(self, rule: Rule, quantity: Quantity, *, spent_ms: int = 0) -> None:
        self.rule = rule
        self.spent_ms = spent_ms
        """Where the latest interval that has its observation ends, ms since 1970."""
        self._quantity = quantity
        before = rule.interval_of(spent_ms - 1) + 1 if spent_ms else None
        self._spent = SpentIntervals(before=before)
        self._open: dict[int, _Interval] = {}
        """The open intervals by number, the one that was touched longest ago first."""

    def under(self, rule: Rule) -> "Minimiser":
        """Return a minimiser under another *rule*, which continues after this one."""
        return Minimiser(rule, self._quantity, spent_ms=self.spent_ms)

    @property
    def is_open(self) -> bool:
        """Whether an interval has begun and is not complete."""
        return bool(self._open)

    @property
    def pending(self) -> int:
        """How many intervals have begun and are not complete."""
        return len(self._open)

    @property
    def open_records(self) -> dict[str, int]:
        """By sensor: the lowest record number that the open intervals depend on."""
        lowest: dict[str, int] = {}
        for interval in self._open.values():
            for sensor, record in interval.records.items():
                lowest[sensor] = min(record, lowest.get(sensor, record))
        return lowest

    @property
    def has_open_singles(self) -> bool:
        """Whether an open interval holds what a person took on purpose."""
        return any(interval.is_single for interval in self._open.values())

    def offer(
        self, measurement: Measurement, steps: int, *, now_ms: int, is_recognised: bool = False
    ) -> tuple[Outcome, MinimisedObservation | None]:
        """
        Take a plausible *measurement* with the value *steps*.

        Args:
            measurement: What was measured.

            steps: Its value, in steps of resolution.

            now_ms: The time of day, ms since 1970.

            is_recognised: Whether it is known to be new whatever its time is.

        Returns:
            The outcome, and an observation that is complete now, usually of an earlier interval.
        """
        number = self.rule.interval_of(measurement.at_ms)
        value = coarsen(self.rule, self._quantity, steps)
        if value is None:
            return Refusal.IMPLAUSIBLE, None
        if number in self._spent:
            return Verdict.COARSENED, None
        if not (is_recognised or self._spent.is_known(number)):
            return Refusal.LATE, None
        if self.rule.aggregate is Aggregate.FIRST:
            self._spend(number)
            time_ms = self.rule.coarsen_time(measurement.at_ms)
            observation = MinimisedObservation(
                time_ms, value, measurement.is_single, measurement.flags
            )
            return Verdict.PENDING, observation
        if number in self._open:
            interval = self._open[number] = self._open.pop(number)
            _merge(interval, measurement.at_ms, steps, now_ms=now_ms)
            _note(interval, measurement)
            return Verdict.COARSENED, None
        return Verdict.PENDING, self._begin(number, measurement, steps, now_ms=now_ms)

    def _begin(
        self, number: int, measurement: Measurement, steps: int, *, now_ms: int
    ) -> MinimisedObservation | None:
        """Open the interval *number*; return the observation of one that is complete with that."""
        # In the order of time an interval is over when the next one begins. Out of order, more may
        # come for those that are open.
        is_next = number > max(self._open, default=-1)
        complete = self.close() if is_next or len(self._open) == _MAX_OPEN else None
        start_ms, at_ms = number * self.rule.interval_ms, measurement.at_ms
        summary = (steps, 1, steps, steps, steps)
        interval = _Interval(
            *(start_ms, at_ms, at_ms, now_ms, *summary), {}, is_live=False, is_single=False
        )
        self._open[number] = interval
        _note(interval, measurement)
        return complete

    def ends_at_ms(self) -> int | None:
        """Return from when on `end` yields an observation, ms since 1970; None if none is open."""
        return min(map(self._end_of, self._open.values()), default=None)

    def _end_of(self, interval: _Interval) -> int:
        return max(interval.start_ms + self.rule.interval_ms, interval.touched_ms + GRACE_MS)

    def end(self, *, now_ms: int) -> MinimisedObservation | None:
        """Return the observation of an open interval that is over at *now_ms*, if there is one."""
        over = (n for n, interval in self._open.items() if now_ms >= self._end_of(interval))
        number = next(over, None)
        return None if number is None else self._close(number)

    def close(self, *, only_live: bool = False) -> MinimisedObservation | None:
        """
        Close an open interval, and return its observation; None if there is none.

        Args:
            only_live: Leave those open of which the sensors can repeat all measurements.
        """
        closing = (n for n, interval in self._open.items() if interval.is_live or not only_live)
        number = next(closing, None)
        return None if number is None else self._close(number)

    def _close(self, number: int) -> MinimisedObservation | None:
        interval = self._open.pop(number)
        self._spend(number)
        steps, at_ms = _summary(interval, self.rule.aggregate)
        value = coarsen(self.rule, self._quantity, steps)
        # Never None: minimum, maximum and mean of plausible values are plausible.
        if value is None:
            return None
        time_ms = self.rule.coarsen_time(at_ms)
        return MinimisedObservation(time_ms, value, interval.is_single, interval.flags)

    def _spend(self, number: int) -> None:
        self._spent.add(number)
        self.spent_ms = max(self.spent_ms, (number + 1) * self.rule.interval_ms)


def _merge(interval: _Interval, at_ms: int, steps: int, *, now_ms: int) -> None:
    interval.touched_ms = now_ms
    interval.total += steps
    interval.count += 1
    interval.low = min(interval.low, steps)
    interval.high = max(interval.high, steps)
    interval.first_ms = min(interval.first_ms, at_ms)
    if at_ms >= interval.last_ms:
        interval.last_ms, interval.last = at_ms, steps


def _note(interval: _Interval, measurement: Measurement) -> None:
    interval.is_single |= measurement.is_single
    interval.flags |= measurement.flags
    if measurement.record is None:
        interval.is_live = True
    else:
        lowest = interval.records.get(measurement.sensor, measurement.record)
        interval.records[measurement.sensor] = min(lowest, measurement.record)


def _summary(interval: _Interval, aggregate: Aggregate) -> tuple[int, int]:
    """Return the aggregate of *interval* in steps, and its time in ms since 1970."""
    match aggregate:
        case Aggregate.LAST:
            return interval.last, interval.last_ms
        case Aggregate.MIN:
            return interval.low, interval.first_ms
        case Aggregate.MAX:
            return interval.high, interval.first_ms
        case _:
            half_up = (2 * interval.total + interval.count) // (2 * interval.count)
            return half_up, interval.first_ms
