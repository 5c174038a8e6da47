"""A heartbeat that shows to other threads whether an event loop still runs."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 1.0


class Pulse:
    """
    A task that notes the time every second.

    A separate thread answers /livez, and continues when the event loop hangs. Without the pulse, a
    hanging process would look alive for ever.

    Args:
        limit_s: Time without a beat after which the loop counts as hanging; far above the time
            that any task takes between two awaits.

        now: A monotonic clock, s.
    """

    def __init__(
        self, *, limit_s: float = 60.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_s = limit_s
        self._now = now
        self._beat_at = now()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beat_at = self._now()
            await asyncio.sleep(_EVERY_S)

    def is_beating(self) -> bool:
        """Return whether the last beat is less than `limit_s` ago."""
        return self._now() - self._beat_at < self._limit_s
