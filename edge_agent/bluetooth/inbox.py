"""A bounded queue of measurements that the agent has not taken yet."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from edge_agent.values.measurement import Measurement

MAX_WAITING: Final = 4096
MAX_TAKEN: Final = 512
RESERVE: Final = 256


class Inbox:
    """
    A queue of measurements.

    A live measurement without room is dropped, because its sensor cannot be slowed down. For those
    that a person took on purpose there is a reserve. A stored record waits with its fetcher.
    """

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[Measurement] = deque()
        self._has_some = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def offer(self, measurement: Measurement) -> bool:
        """Keep *measurement* if there is room; tell whether."""
        reserve = RESERVE if measurement.is_single else 0
        if len(self._waiting) >= self._max_waiting + reserve:
            return False
        self._waiting.append(measurement)
        self._has_some.set()
        if len(self._waiting) >= self._max_waiting:
            self._has_room.clear()
        return True

    async def put(self, measurement: Measurement) -> None:
        """Keep *measurement*, as soon as there is room."""
        while not self.offer(measurement):
            await self._has_room.wait()

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        """
        Return the measurements that have come, after at most *within_s* seconds for the first.

        A cancelled call removes no measurement.
        """
        if not self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._has_some.wait()
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_TAKEN))]
        if not self._waiting:
            self._has_some.clear()
        if len(self._waiting) < self._max_waiting:
            self._has_room.set()
        return taken
