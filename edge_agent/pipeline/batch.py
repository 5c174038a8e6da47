"""The observations of one handle under one lease, until they go into envelopes. Pure."""

from collections.abc import Iterator
from typing import Final

from edge_agent.pipeline.minimise import MinimisedObservation
from edge_agent.values.priority import Priority, priority_of
from wire.envelope import Block, Body, pack_block

_MAX_SPREAD_MS: Final = (1 << 32) - 1
"""How far the offsets of one block reach."""
_MAX_BLOCKS: Final = 16


class Batch:
    """
    Columns of observations, each in the order of time.

    Args:
        lease: The version under which they were measured.

        now: When it begins, in seconds of a monotonic clock.
    """

    def __init__(self, lease: int, *, now: float) -> None:
        self.lease = lease
        self.since = now
        self.count = 0
        self._columns: dict[int, list[MinimisedObservation]] = {}
        self._single: set[int] = set()

    @property
    def is_urgent(self) -> bool:
        """Whether it holds what is to be made durable at once."""
        return bool(self._single) or any(
            priority_of(quantity) is Priority.TREATMENT for quantity in self._columns
        )

    @property
    def quantities(self) -> set[int]:
        """Of which quantities there are observations."""
        return set(self._columns)

    def add(self, quantity: int, observation: MinimisedObservation) -> None:
        """Append *observation*; it is later than every one of its quantity."""
        self._columns.setdefault(quantity, []).append(observation)
        if observation.is_single:
            self._single.add(quantity)
        self.count += 1

    def drop(self, quantity: int) -> int:
        """Drop what there is of *quantity*; return how many observations."""
        self._single.discard(quantity)
        dropped = len(self._columns.pop(quantity, ()))
        self.count -= dropped
        return dropped

    def bodies(self, handle: bytes, *, max_observations: int) -> Iterator[Body]:
        """
        Yield everything as bodies of *handle*, each within *max_observations*.

        What is worth more stands apart, so that it does not go with what is worth less.
        """
        for worth in Priority:
            columns = {q: c for q, c in self._columns.items() if priority_of(q) is worth}
            yield from self._bodies(handle, columns, max_observations)

    def _bodies(
        self, handle: bytes, columns: dict[int, list[MinimisedObservation]], max_observations: int
    ) -> Iterator[Body]:
        blocks: list[Block] = []
        room = max_observations
        for quantity, column in columns.items():
            for block in _blocks(quantity, column, max_observations):
                if len(block) > room or len(blocks) == _MAX_BLOCKS:
                    yield Body(handle, self.lease, blocks)
                    blocks, room = [], max_observations
                blocks.append(block)
                room -= len(block)
        if blocks:
            yield Body(handle, self.lease, blocks)


def _blocks(
    quantity: int, column: list[MinimisedObservation], max_observations: int
) -> Iterator[Block]:
    """Yield *column* in blocks, each within the reach of an offset and the size of a body."""
    start = 0
    for end in range(1, len(column) + 1):
        if (
            end == len(column)
            or end - start == max_observations
            or column[end].time_ms - column[start].time_ms > _MAX_SPREAD_MS
        ):
            run = column[start:end]
            yield pack_block(quantity, [o.time_ms for o in run], [o.value for o in run])
            start = end
