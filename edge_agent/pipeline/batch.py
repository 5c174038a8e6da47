"""The observations of one handle under one lease, until they go into envelopes. Pure."""

from collections.abc import Iterator
from typing import Final

from edge_agent.pipeline.minimise import MinimisedObservation
from edge_agent.values.priority import Priority, priority_of
from wire.envelope import Block, Body, pack_block

_MAX_SPREAD_MS: Final = (1 << 32) - 1
"""The greatest offset in a block, in ms: an unsigned number of 32 bits."""
_MAX_BLOCKS: Final = 16


class Batch:
    """
    Columns of observations, one for each quantity, in any order of time.

    Args:
        lease: The version of the lease under which they were measured.

        now: When the batch begins, in seconds of a monotonic clock.
    """

    def __init__(self, lease: int, *, now: float) -> None:
        self.lease = lease
        self.since = now
        self.count = 0
        self._columns: dict[int, list[MinimisedObservation]] = {}
        self._single: set[int] = set()

    @property
    def is_urgent(self) -> bool:
        """Whether it holds an observation that must be made durable at once."""
        return bool(self._single) or any(
            priority_of(quantity) is Priority.TREATMENT for quantity in self._columns
        )

    @property
    def quantities(self) -> set[int]:
        """The codes of the quantities that it holds observations of."""
        return set(self._columns)

    def add(self, quantity: int, observation: MinimisedObservation) -> None:
        """Add *observation*, of an interval that has no other one."""
        self._columns.setdefault(quantity, []).append(observation)
        if observation.is_single:
            self._single.add(quantity)
        self.count += 1

    def drop(self, quantity: int) -> int:
        """Drop the observations of *quantity*; return their number."""
        self._single.discard(quantity)
        dropped = len(self._columns.pop(quantity, ()))
        self.count -= dropped
        return dropped

    def bodies(self, handle: bytes, *, max_observations: int) -> Iterator[Body]:
        """
        Yield everything as bodies of *handle*, each of at most *max_observations*.

        A body holds observations of one priority, so that eviction never drops a more important
        observation together with a less important one.
        """
        for priority in Priority:
            columns = {q: c for q, c in self._columns.items() if priority_of(q) is priority}
            yield from self._bodies(handle, columns, max_observations)

    def _bodies(
        self, handle: bytes, columns: dict[int, list[MinimisedObservation]], max_observations: int
    ) -> Iterator[Body]:
        blocks: list[Block] = []
        room = max_observations
        for quantity, column in columns.items():
            in_order = sorted(column, key=lambda observation: observation.time_ms)
            for block in _blocks(quantity, in_order, max_observations):
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
    """Yield *column* in blocks that fit the range of an offset and the size of a body."""
    start = 0
    for end in range(1, len(column) + 1):
        if (
            end == len(column)
            or end - start == max_observations
            or column[end].time_ms - column[start].time_ms > _MAX_SPREAD_MS
        ):
            run = column[start:end]
            flags = [o.flags for o in run]
            yield pack_block(
                quantity,
                [o.time_ms for o in run],
                [o.value for o in run],
                flags if any(flags) else None,
            )
            start = end
