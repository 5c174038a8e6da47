"""
Data minimisation (GDPR art. 5.1.c): coarser values, coarser times, one observation an interval.

Pure. Values are whole steps of the quantity's resolution, times are ms since 1970.
"""

from typing import Final

import msgspec

from edge_agent.values.measurement import Measurement, Outcome, Verdict
from wire.policy import Aggregate, Rule
from wire.quantities import Quantity
from wire.refusals import Refusal

GRACE_MS: Final = 1000
"""How long an interval that has ended waits for the rest of a burst of stored records."""


class MinimisedObservation(msgspec.Struct, frozen=True):
    """The observation of one interval, as it may leave the gateway."""

    time_ms: int
    value: int
    is_single: bool = False
    """Whether a person took it on purpose: no sensor repeats it, so it is made durable at once."""


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

    It yields observations in the order of their intervals, at most one each. It has no clock.

    Args:
        rule: The finest resolution that the lease allows.

        quantity: The quantity that is measured.

        spent_ms: Intervals that begin before this time, ms since 1970, yield nothing more.
    """

    def __init__(self, rule: Rule, quantity: Quantity, *, spent_ms: int = 0) -> None:
        self.rule = rule
        self.spent_ms = spent_ms
        self._quantity = quantity
        self._open: _Interval | None = None

    @property
    def is_open(self) -> bool:
        """Whether an interval has begun and is not complete."""
        return self._open is not None

    @property
    def open_records(self) -> dict[str, int]:
        """By sensor: the lowest record number that the open interval depends on."""
        return {} if self._open is None else self._open.records

    def offer(
        self, measurement: Measurement, steps: int, *, now_ms: int
    ) -> tuple[Outcome, MinimisedObservation | None]:
        """
        Take a plausible *measurement* with the value *steps*.

        Returns:
            The outcome, and an observation that is complete now, usually of an earlier interval.
        """
        at_ms = measurement.at_ms
        start_ms = self.rule.interval_of(at_ms) * self.rule.interval_ms
        value = coarsen(self.rule, self._quantity, steps)
        if value is None:
            return Refusal.IMPLAUSIBLE, None
        if start_ms < self.spent_ms:
            is_same = start_ms + self.rule.interval_ms >= self.spent_ms
            return (Verdict.COARSENED if is_same else Refusal.LATE), None
        if self.rule.aggregate is Aggregate.FIRST:
            self.spent_ms = start_ms + self.rule.interval_ms
            time_ms = self.rule.coarsen_time(at_ms)
            return Verdict.PENDING, MinimisedObservation(time_ms, value, measurement.is_single)
        if self._open is not None and start_ms < self._open.start_ms:
            return Refusal.LATE, None
        if self._open is not None and start_ms == self._open.start_ms:
            _merge(self._open, at_ms, steps, now_ms=now_ms)
            _note(self._open, measurement)
            return Verdict.COARSENED, None
        complete = self.close()
        summary = (steps, 1, steps, steps, steps)
        self._open = _Interval(
            *(start_ms, at_ms, at_ms, now_ms, *summary), {}, is_live=False, is_single=False
        )
        _note(self._open, measurement)
        return Verdict.PENDING, complete

    def ends_at_ms(self) -> int | None:
        """Return from when on `end` yields an observation, ms since 1970; None if none is open."""
        if self._open is None:
            return None
        return max(self._open.start_ms + self.rule.interval_ms, self._open.touched_ms + GRACE_MS)

    def end(self, *, now_ms: int) -> MinimisedObservation | None:
        """Return the observation of the open interval if it is over at *now_ms*."""
        ends_at_ms = self.ends_at_ms()
        return self.close() if ends_at_ms is not None and now_ms >= ends_at_ms else None

    def close(self, *, only_live: bool = False) -> MinimisedObservation | None:
        """
        Close the open interval, and return its observation.

        Args:
            only_live: Leave it open if the sensors can repeat all of its measurements.
        """
        interval = self._open
        if interval is None or (only_live and not interval.is_live):
            return None
        self._open = None
        self.spent_ms = interval.start_ms + self.rule.interval_ms
        steps, at_ms = _summary(interval, self.rule.aggregate)
        value = coarsen(self.rule, self._quantity, steps)
        # Never None: minimum, maximum and mean of plausible values are plausible.
        if value is None:
            return None
        return MinimisedObservation(self.rule.coarsen_time(at_ms), value, interval.is_single)


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
    if measurement.record is None:
        interval.is_live = True
    else:
        interval.records.setdefault(measurement.sensor, measurement.record)


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
