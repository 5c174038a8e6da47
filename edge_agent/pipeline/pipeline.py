"""
From measurements to bodies of envelopes: admit, minimise, pseudonymise, batch.

Pure: it gets times and leases, and returns outcomes and bodies. `now` is in seconds of a monotonic
clock, `now_ms` the time of day in ms since 1970. Nothing in a pipeline is on disk. What it hands
out counts as durable when the caller asks for more.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from edge_agent.pipeline.batch import Batch
from edge_agent.pipeline.minimise import MinimisedObservation, Minimiser
from edge_agent.pipeline.pseudonymise import handles_by_sensor
from edge_agent.values.checkpoint import Checkpoint, cursor_of, spent_of, through_of
from edge_agent.values.measurement import Measurement, Outcome
from edge_agent.values.timekeeping import may_measure
from wire.envelope import Body
from wire.lease import Grant, Lease
from wire.quantities import QUANTITIES
from wire.refusals import Refusal


class BatchLimits(msgspec.Struct, frozen=True):
    """When a batch is due, and how far ahead of the clock a measurement may be."""

    max_observations: int = 500
    """At most so many observations in one envelope."""
    max_age_s: float = 5.0
    due_observations: int = 500
    """A batch of one handle with this many observations is due before `max_age_s`."""
    max_ahead_ms: int = 60_000
    """How far a measurement may be ahead of the agent's clock."""


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
        self._minimisers: dict[tuple[bytes, int], Minimiser] = {}
        self._batches: dict[bytes, list[Batch]] = {}
        self._seen: dict[str, int] = {}
        self._through: dict[tuple[str, int], int] = {}
        self._last: dict[tuple[str, int], int] = {}
        self._saved: dict[Checkpoint, int] = {}

    @property
    def pending(self) -> int:
        """How many measurements wait in memory to become an observation in the spool."""
        batched = sum(batch.count for batch in self._all_batches())
        return batched + sum(m.is_open for m in self._minimisers.values())

    def _all_batches(self) -> Iterator[Batch]:
        return itertools.chain(*self._batches.values())

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
        dropped = self._close_minimisers(lease, now=now) + self._drop_batches(lease)
        self._leases = [lease, *sorted(past, key=lambda old: old.version, reverse=True)]
        self._sensors = handles_by_sensor(lease)
        for grant in lease.grants:
            self._open_minimisers(grant, marks)
        for sensor, handles in self._sensors.items():
            self._seen.setdefault(sensor, marks.get(cursor_of(sensor), 0))
            for quantity in {q for handle, q in self._minimisers if handle in handles}:
                known = marks.get(through_of(sensor, quantity), 0)
                self._through.setdefault((sensor, quantity), known)
        return Adopted(dropped, self._hand_out(list(self._batches)))

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
                self._minimisers[key] = Minimiser(rule, quantity, spent_ms=known.spent_ms)

    def _close_minimisers(self, lease: Lease, *, now: float) -> int:
        """Close intervals whose rule changes; drop those not allowed, and return how many."""
        rules = {(g.handle, rule.quantity): rule for g in lease.grants for rule in g.rules}
        dropped = 0
        for key, minimiser in list(self._minimisers.items()):
            if key not in rules:
                dropped += minimiser.is_open
                del self._minimisers[key]
            elif rules[key] != minimiser.rule:
                self._add(*key, minimiser.close(), now=now)
        return dropped

    def _drop_batches(self, lease: Lease) -> int:
        allowed = {g.handle: {rule.quantity for rule in g.rules} for g in lease.grants}
        dropped = 0
        for handle, batches in list(self._batches.items()):
            for batch in batches:
                for quantity in batch.quantities - allowed.get(handle, set()):
                    dropped += batch.drop(quantity)
            self._batches[handle] = [batch for batch in batches if batch.count]
            if not self._batches[handle]:
                del self._batches[handle]
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
        handles = self._sensors.get(measurement.sensor)
        if handles is None:
            return [Refusal.UNKNOWN_SENSOR if self._leases else Refusal.NO_LEASE]
        if not may_measure(self._leases[0], now_ms=now_ms, latest_ms=latest_ms):
            # Not marked as seen: under the next lease the sensor is asked for the record again.
            return [Refusal.NO_LEASE]
        if self._was_seen(measurement):
            return [Refusal.ALREADY_SEEN]
        # Minimised for each purpose separately: no purpose receives what only another one needs.
        served = [h for h in handles if (h, measurement.quantity) in self._minimisers]
        return [
            self._offer_to(handle, measurement, now_ms=now_ms, now=now)
            for handle in served or handles[:1]
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
        outcome, complete = minimiser.offer(measurement, steps, now_ms=now_ms)
        self._add(handle, measurement.quantity, complete, now=now)
        return outcome

    def _was_seen(self, measurement: Measurement) -> bool:
        """Tell whether this stored record came before; otherwise note that it has come now."""
        sensor, record = measurement.sensor, measurement.record
        if record is None:
            return False
        key = sensor, measurement.quantity
        if record <= self._seen[sensor]:
            return True
        self._seen[sensor] = record
        # A record beyond the cursor can be durable: another quantity may hold the cursor back.
        through = self._through.get(key, 0)
        self._last[key] = max(record, through)
        return record <= through

    def _lease_at(self, handle: bytes, at_ms: int) -> Lease | None:
        """Return the newest lease under which *handle* could be measured at *at_ms*."""
        for lease in self._leases:
            if may_measure(lease, now_ms=at_ms) and any(g.handle == handle for g in lease.grants):
                return lease
        return None

    def _refusal(self, measurement: Measurement, handle: bytes, *, now_ms: int) -> Refusal | None:
        if self._lease_at(handle, measurement.at_ms) is None:
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
        lease = self._lease_at(handle, observation.time_ms) or self._leases[0]
        batches = self._batches.setdefault(handle, [])
        batch = next((batch for batch in batches if batch.lease == lease.version), None)
        if batch is None:
            batch = Batch(lease.version, now=now)
            batches.append(batch)
        batch.add(quantity, observation)

    def tick(self, *, now_ms: int, now: float) -> None:
        """Complete the observations of intervals that are over."""
        for (handle, quantity), minimiser in self._minimisers.items():
            self._add(handle, quantity, minimiser.end(now_ms=now_ms), now=now)

    def due_in_s(self, *, now_ms: int, now: float) -> float | None:
        """Return in how many seconds `tick` or `take` has work; None if nothing waits."""
        waits = [
            0.0 if self._is_full(batch) else batch.since + self.limits.max_age_s - now
            for batch in self._all_batches()
        ]
        ends = (minimiser.ends_at_ms() for minimiser in self._minimisers.values())
        waits += [(end - now_ms) / 1000 for end in ends if end is not None]
        return max(0.0, min(waits)) if waits else None

    def take(self, *, now: float) -> Flush:
        """
        Hand out the batches that are due, and the checkpoints that may be saved with them.

        The caller makes them durable before it calls again, or stops for good.
        """
        full = {h for h, batches in self._batches.items() if any(map(self._is_full, batches))}
        oldest = {handle: batches[0].since for handle, batches in self._batches.items()}
        aged = min(oldest.values(), default=now) + self.limits.max_age_s <= now
        # Batches of half that age are included, so that they share this commit and later ones.
        along = now - self.limits.max_age_s / 2
        old = {handle for handle, since in oldest.items() if aged and since <= along}
        return self._hand_out([handle for handle in self._batches if handle in full | old])

    def _is_full(self, batch: Batch) -> bool:
        limits = self.limits
        return batch.is_urgent or batch.count >= min(
            limits.due_observations, limits.max_observations
        )

    def take_all(self, *, now: float) -> Flush:
        """Hand out every batch, and intervals not yet over that hold live measurements."""
        for (handle, quantity), minimiser in self._minimisers.items():
            self._add(handle, quantity, minimiser.close(only_live=True), now=now)
        return self._hand_out(list(self._batches))

    def _hand_out(self, due: list[bytes]) -> Flush:
        taken = {handle: self._batches.pop(handle) for handle in due}
        bodies = [
            body
            for handle, batches in taken.items()
            for batch in batches
            for body in batch.bodies(handle, max_observations=self.limits.max_observations)
        ]
        cursors = self._cursors()
        return Flush(bodies, self._new_marks(taken, cursors), cursors)

    def _new_marks(
        self, taken: Collection[bytes], cursors: Mapping[str, int]
    ) -> dict[Checkpoint, int]:
        marks = {cursor_of(sensor): record for sensor, record in cursors.items()}
        for (sensor, quantity), last in self._last.items():
            if sensor in cursors:
                lowest = self._open_records(sensor).get(quantity, last + 1)
                marks[through_of(sensor, quantity)] = lowest - 1
        for (handle, quantity), minimiser in self._minimisers.items():
            if handle in taken and minimiser.spent_ms:
                marks[spent_of(handle, quantity)] = minimiser.spent_ms
        new = {mark: number for mark, number in marks.items() if self._saved.get(mark) != number}
        self._saved |= new
        return new

    def _cursors(self) -> dict[str, int]:
        """Return, for each sensor with nothing in a batch, its last record that is durable."""
        return {
            sensor: min([record - 1 for record in self._open_records(sensor).values()] + [seen])
            for sensor, seen in self._seen.items()
            if seen and self._batches.keys().isdisjoint(self._sensors.get(sensor, ()))
        }

    def _open_records(self, sensor: str) -> dict[int, int]:
        """Return the lowest record of *sensor* in an interval that is open, by quantity."""
        lowest: dict[int, int] = {}
        for (_, quantity), minimiser in self._minimisers.items():
            record = minimiser.open_records.get(sensor)
            if record is not None:
                lowest[quantity] = min(record, lowest.get(quantity, record))
        return lowest
