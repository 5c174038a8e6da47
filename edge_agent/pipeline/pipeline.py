"""
From measurements to bodies of envelopes: admit, minimise, pseudonymise, batch.

Pure: it gets times and leases, and returns outcomes and bodies. `now` is in seconds of a monotonic
clock, `now_ms` the time of day in ms since 1970. Nothing in a pipeline is on disk. What it hands
out counts as durable when the caller asks for more.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from edge_agent.pipeline.batch_queue import BatchLimits, BatchQueue
from edge_agent.pipeline.minimise import MinimisedObservation, Minimiser
from edge_agent.pipeline.pseudonymise import handles_by_binding, handles_by_sensor
from edge_agent.pipeline.record_progress import OpenRecords, RecordProgress
from edge_agent.pipeline.taken import Taken, marks_of_grant
from edge_agent.values.checkpoint import Checkpoint, cursor_of, spent_of, through_of
from edge_agent.values.measurement import Measurement, Outcome
from edge_agent.values.timekeeping import may_measure
from wire.envelope import Body
from wire.lease import Binding, Grant, Lease
from wire.quantities import QUANTITIES
from wire.refusals import Refusal


class Flush(msgspec.Struct, frozen=True):
    """Bodies, checkpoints and cursors to be made durable in one transaction."""

    bodies: list[Body]
    marks: dict[Checkpoint, int]
    cursors: dict[str, int]
    """By sensor: the record number up to which everything is durable after this flush."""

    def of_handles(self, handles: Collection[bytes]) -> "Flush":
        """Return this flush with the bodies and marks of *handles* only, and marks of sensors."""
        return Flush(
            [body for body in self.bodies if body.handle in handles],
            {
                mark: number
                for mark, number in self.marks.items()
                if mark.handle is None or mark.handle in handles
            },
            self.cursors,
        )

    def and_then(self, later: "Flush") -> "Flush":
        """Return this flush and *later*, which comes after it, as one."""
        return Flush(
            self.bodies + later.bodies, self.marks | later.marks, self.cursors | later.cursors
        )


class Adopted(msgspec.Struct, frozen=True):
    """The result of a change of lease."""

    dropped: int
    """How many measurements that waited in memory were dropped."""
    flush: Flush
    """Everything that waited in batches. Make it durable before the next `offer`."""


def marks_of(lease: Lease) -> list[Checkpoint]:
    """Return every checkpoint that `Pipeline.adopt` needs for *lease*."""
    sensors = handles_by_sensor(lease)
    rules = {grant.handle: [rule.quantity for rule in grant.rules] for grant in lease.grants}
    return [
        *map(cursor_of, sensors),
        *(mark for grant in lease.grants for mark in marks_of_grant(grant)),
        *(
            through_of(sensor, q)
            for sensor, handles in sensors.items()
            for q in {q for handle in handles for q in rules[handle]}
        ),
        *(spent_of(handle, q) for handle, quantities in rules.items() for q in quantities),
    ]


class Pipeline:
    """
    The measurements under one lease, on their way to bodies of envelopes.

    Holds only what is not due yet. Does no I/O.

    Args:
        limits: When a batch is due.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        """May be replaced at any time."""
        self._leases: list[Lease] = []
        self._sensors: dict[str, tuple[bytes, ...]] = {}
        self._bound: dict[Binding, tuple[bytes, ...]] = {}
        self._taken: dict[bytes, Taken] = {}
        self._minimisers: dict[tuple[bytes, int], Minimiser] = {}
        self._batches = BatchQueue()
        self._records = RecordProgress()
        self._saved: dict[Checkpoint, int] = {}

    @property
    def pending(self) -> int:
        """How many measurements wait in memory to become an observation in the spool."""
        return self._batches.observations + sum(m.pending for m in self._minimisers.values())

    def adopt(
        self, lease: Lease, past: Sequence[Lease], marks: Mapping[Checkpoint, int], *, now: float
    ) -> Adopted:
        """
        Measure under *lease* from now on, and drop waiting measurements that it does not allow.

        All batches are handed out: a sensor may belong to another handle from now on, and its
        cursor could then no longer be derived from what waits.

        Args:
            lease: The new lease, in force or not.

            past: Earlier leases, for measurements that come late.

            marks: The checkpoints in the spool, of those in `marks_of(lease)`.

            now: Monotonic time, in seconds.
        """
        dropped = self._close_minimisers(lease, now=now) + self._batches.drop_not_allowed(lease)
        self._leases = [lease, *sorted(past, key=lambda old: old.version, reverse=True)]
        self._sensors, self._bound = handles_by_sensor(lease), handles_by_binding(lease)
        old = self._taken
        self._taken = {g.handle: old.get(g.handle) or Taken(g, marks) for g in lease.grants}
        for grant in lease.grants:
            self._taken[grant.handle].extend(grant, marks)
            self._open_minimisers(grant, marks)
        for sensor, handles in self._sensors.items():
            quantities = {q for handle, q in self._minimisers if handle in handles}
            self._records.restore(sensor, quantities, marks)
        return Adopted(dropped, self._hand_out(self._batches.handles()))

    def _open_minimisers(self, grant: Grant, marks: Mapping[Checkpoint, int]) -> None:
        for rule in grant.rules:
            key = grant.handle, rule.quantity
            quantity = QUANTITIES.get(rule.quantity)
            if quantity is None:
                continue  # A quantity of a later version: nothing here measures it.
            known = self._minimisers.get(key)
            if known is None:
                spent_ms = marks.get(spent_of(*key), 0)
                self._minimisers[key] = Minimiser(rule, quantity, spent_ms=spent_ms)
            elif known.rule != rule:
                self._minimisers[key] = known.under(rule)

    def _close_minimisers(self, lease: Lease, *, now: float) -> int:
        """Close intervals whose rule changes; drop those not allowed, and return how many."""
        rules = {(g.handle, rule.quantity): rule for g in lease.grants for rule in g.rules}
        dropped = 0
        for key, minimiser in list(self._minimisers.items()):
            if key not in rules:
                dropped += minimiser.pending
                del self._minimisers[key]
            elif rules[key] != minimiser.rule:
                while minimiser.is_open:
                    self._add(*key, minimiser.close(), now=now)
        return dropped

    def offer(
        self, measurement: Measurement, *, now_ms: int, now: float, latest_ms: int | None = None
    ) -> list[Outcome]:
        """
        Take *measurement*, and return its outcome so far, one for each purpose that it serves.

        Args:
            measurement: From a sensor; its steps are in the quantity's resolution.

            now_ms: The time of day, ms since 1970.

            now: Monotonic time, in seconds.

            latest_ms: The latest time of day that was ever believed, ms since 1970. A lease that
                ended before it is over.
        """
        if measurement.sensor not in self._sensors:
            return [Refusal.UNKNOWN_SENSOR if self._leases else Refusal.NO_LEASE]
        if not may_measure(self._leases[0], now_ms=now_ms, latest_ms=latest_ms):
            # Not marked as seen: under the next lease the sensor is asked for the record again.
            return [Refusal.NO_LEASE]
        bound = self._bound.get(Binding(measurement.sensor, measurement.user), ())
        if self._records.was_seen(measurement):
            return [Refusal.ALREADY_SEEN]
        if not bound:
            return [Refusal.UNBOUND_USER]
        # Minimised for each purpose separately: no purpose receives what only another one needs.
        served = [h for h in bound if (h, measurement.quantity) in self._minimisers]
        return [
            self._offer_to(handle, measurement, now_ms=now_ms, now=now)
            for handle in served or bound[:1]
        ]

    def _offer_to(
        self, handle: bytes, measurement: Measurement, *, now_ms: int, now: float
    ) -> Outcome:
        minimiser = self._minimisers.get((handle, measurement.quantity))
        reason = self._refusal(measurement, handle, now_ms=now_ms)
        if reason is not None:
            return reason
        if minimiser is None:
            return Refusal.NOT_ALLOWED
        steps = measurement.steps
        if steps is None or not QUANTITIES[measurement.quantity].is_plausible(steps):
            return Refusal.IMPLAUSIBLE
        taken = self._taken[handle]
        if not taken.take(measurement):
            return Refusal.ALREADY_SEEN
        is_recognised = taken.is_recognised(measurement)
        outcome, complete = minimiser.offer(
            measurement, steps, now_ms=now_ms, is_recognised=is_recognised
        )
        self._add(handle, measurement.quantity, complete, now=now)
        return outcome

    def _leases_at(self, handle: bytes, at_ms: int) -> Iterator[Lease]:
        """Yield the leases under which *handle* could be measured at *at_ms*, the newest first."""
        for lease in self._leases:
            if may_measure(lease, now_ms=at_ms) and any(g.handle == handle for g in lease.grants):
                yield lease

    def _is_leased(self, handle: bytes, at_ms: int, *, time_step_ms: int) -> bool:
        leases = self._leases_at(handle, at_ms)
        # The clocks of trust and gateway may differ. But once a time is rounded, no one can tell
        # any more that it was before the lease, and so the tolerance ends here.
        return any(time_step_ms == 1 or lease.issued_at_ms <= at_ms for lease in leases)

    def _refusal(self, measurement: Measurement, handle: bytes, *, now_ms: int) -> Refusal | None:
        minimiser = self._minimisers.get((handle, measurement.quantity))
        time_step_ms = 1 if minimiser is None else minimiser.rule.time_step_ms
        if not self._is_leased(handle, measurement.at_ms, time_step_ms=time_step_ms):
            return Refusal.NO_LEASE
        if measurement.fault is not None:
            return measurement.fault
        if not 0 <= measurement.at_ms <= now_ms + self.limits.max_ahead_ms:
            return Refusal.UNDATED
        return None

    def _add(
        self, handle: bytes, quantity: int, observation: MinimisedObservation | None, *, now: float
    ) -> None:
        if observation is None:
            return
        # Under the lease of its time: ingest checks that this lease was in force then.
        # Its time is rounded down, and so may be before the lease.
        last_ms = observation.time_ms + self._minimisers[handle, quantity].rule.time_step_ms - 1
        leases = (
            lease
            for at_ms in (observation.time_ms, last_ms)
            for lease in self._leases_at(handle, at_ms)
        )
        lease = next(leases, self._leases[0])
        self._batches.add(handle, quantity, observation, lease=lease.version, now=now)

    def tick(self, *, now_ms: int, now: float) -> None:
        """Complete the observations of intervals that are over."""
        for (handle, quantity), minimiser in self._minimisers.items():
            while (complete := minimiser.end(now_ms=now_ms)) is not None:
                self._add(handle, quantity, complete, now=now)

    def due_in_s(self, *, now_ms: int, now: float) -> float | None:
        """Return in how many seconds `tick` or `take` has work; None if nothing waits."""
        ends = (minimiser.ends_at_ms() for minimiser in self._minimisers.values())
        waits = [(end - now_ms) / 1000 for end in ends if end is not None]
        batch_s = self._batches.due_in_s(self.limits, now=now)
        if batch_s is not None:
            waits.append(batch_s)
        return max(0.0, min(waits)) if waits else None

    def take(self, *, now: float) -> Flush:
        """
        Hand out the batches that are due, and the checkpoints that may be saved with them.

        The caller makes them durable before it calls again, or stops for good.
        """
        return self._hand_out(self._batches.due(self.limits, now=now))

    def take_all(self, *, now: float) -> Flush:
        """Hand out every batch, and intervals not yet over that hold live measurements."""
        for (handle, quantity), minimiser in self._minimisers.items():
            while (complete := minimiser.close(only_live=True)) is not None:
                self._add(handle, quantity, complete, now=now)
        return self._hand_out(self._batches.handles())

    def _hand_out(self, due: list[bytes]) -> Flush:
        bodies = self._batches.take(due, self.limits)
        open_records = self._open_records()
        cursors = self._records.cursors(open_records, is_batched=self._is_batched)
        marks = self._records.marks(cursors, open_records) | _spent_marks(self._minimisers, due)
        marks |= self._taken_marks()
        return Flush(bodies, self._unsaved(marks), cursors)

    def _is_batched(self, sensor: str) -> bool:
        return self._batches.has_any(self._sensors.get(sensor, ()))

    def _unsaved(self, marks: Mapping[Checkpoint, int]) -> dict[Checkpoint, int]:
        new = {mark: number for mark, number in marks.items() if self._saved.get(mark) != number}
        self._saved |= new
        return new

    def _taken_marks(self) -> dict[Checkpoint, int]:
        """Return what was taken for the handles of which nothing waits in a batch."""
        open_records: dict[bytes, dict[int, Mapping[str, int]]] = {}
        singles: set[bytes] = set()
        for (handle, quantity), minimiser in self._minimisers.items():
            if minimiser.is_open:
                open_records.setdefault(handle, {})[quantity] = minimiser.open_records
                singles |= {handle} if minimiser.has_open_singles else set()
        return {
            mark: number
            for handle in self._taken.keys() - set(self._batches.handles())
            for mark, number in self._taken[handle].marks(
                open_records.get(handle, {}), has_open_singles=handle in singles
            )
        }

    def _open_records(self) -> OpenRecords:
        """Return, by sensor and quantity, the lowest record number in an open interval."""
        lowest: dict[str, dict[int, int]] = {}
        for (_, quantity), minimiser in self._minimisers.items():
            for sensor, record in minimiser.open_records.items():
                known = lowest.setdefault(sensor, {})
                known[quantity] = min(record, known.get(quantity, record))
        return lowest


def _spent_marks(
    minimisers: Mapping[tuple[bytes, int], Minimiser], taken: Collection[bytes]
) -> dict[Checkpoint, int]:
    """Return up to when the intervals of the handles in *taken* have their observation."""
    return {
        spent_of(handle, quantity): minimiser.spent_ms
        for (handle, quantity), minimiser in minimisers.items()
        if handle in taken and minimiser.spent_ms
    }
