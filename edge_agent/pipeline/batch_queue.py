"""The batches that wait in memory, by handle, and which of them are due. Pure."""

import itertools
from collections.abc import Collection, Iterable, Iterator

import msgspec

from edge_agent.pipeline.batch import Batch
from edge_agent.pipeline.minimise import MinimisedObservation
from wire.envelope import Body
from wire.lease import Lease


class BatchLimits(msgspec.Struct, frozen=True):
    """When a batch is due, and how far ahead of the clock a measurement may be."""

    max_observations: int = 500
    """At most so many observations in one envelope."""
    max_age_s: float = 5.0
    due_observations: int = 500
    """A batch of one handle with this many observations is due before `max_age_s`."""
    max_ahead_ms: int = 60_000
    """How far a measurement may be ahead of the agent's clock."""


class BatchQueue:
    """
    The batches of every handle, the oldest of a handle first.

    Does not decide what may be measured: it holds what was minimised already. `now` is in seconds
    of a monotonic clock.
    """

    def __init__(self) -> None:
        self._batches: dict[bytes, list[Batch]] = {}

    @property
    def observations(self) -> int:
        """How many observations wait."""
        return sum(batch.count for batch in self._all())

    def handles(self) -> list[bytes]:
        """Return the handles with a batch."""
        return list(self._batches)

    def has_any(self, handles: Iterable[bytes]) -> bool:
        """Tell whether a batch of one of *handles* waits."""
        return not self._batches.keys().isdisjoint(handles)

    def add(
        self,
        handle: bytes,
        quantity: int,
        observation: MinimisedObservation,
        *,
        lease: int,
        now: float,
    ) -> None:
        """Append *observation*, measured under version *lease*, to a batch of *handle*."""
        batches = self._batches.setdefault(handle, [])
        batch = next((batch for batch in batches if batch.lease == lease), None)
        if batch is None:
            batch = Batch(lease, now=now)
            batches.append(batch)
        batch.add(quantity, observation)

    def drop_not_allowed(self, lease: Lease) -> int:
        """Drop the observations that *lease* does not allow; return their number."""
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

    def due_in_s(self, limits: BatchLimits, *, now: float) -> float | None:
        """Return in how many seconds a batch is due, negative if overdue; None without batches."""
        return min(
            (
                0.0 if _is_full(batch, limits) else batch.since + limits.max_age_s - now
                for batch in self._all()
            ),
            default=None,
        )

    def due(self, limits: BatchLimits, *, now: float) -> list[bytes]:
        """
        Return the handles whose batches are due.

        Once a batch is of full age, those of half that age are due too, so that they share this
        commit and later ones.
        """
        oldest = {handle: batches[0].since for handle, batches in self._batches.items()}
        aged = min(oldest.values(), default=now) + limits.max_age_s <= now
        along = now - limits.max_age_s / 2
        return [
            handle
            for handle, batches in self._batches.items()
            if (aged and oldest[handle] <= along)
            or any(_is_full(batch, limits) for batch in batches)
        ]

    def take(self, handles: Collection[bytes], limits: BatchLimits) -> list[Body]:
        """Remove the batches of *handles*, and return them as bodies of envelopes."""
        return [
            body
            for handle in handles
            for batch in self._batches.pop(handle)
            for body in batch.bodies(handle, max_observations=limits.max_observations)
        ]

    def _all(self) -> Iterator[Batch]:
        return itertools.chain(*self._batches.values())


def _is_full(batch: Batch, limits: BatchLimits) -> bool:
    return batch.is_urgent or batch.count >= min(limits.due_observations, limits.max_observations)
