"""Whether an event loop still comes round, for whoever asks from another thread."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 1.0


class Pulse:
    """
    Beats each second in the loop that it runs in.

    /livez is answered by a thread of its own, which lives on when the loop hangs: without a pulse
    a process that does nothing any more would look alive for ever.

    Args:
        limit_s: After how long without a beat it is taken for dead. Far above any work that a loop
            does in one go.

        now: Seconds of a clock that does not go back.
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
        """Tell whether the last beat was not long ago."""
        return self._now() - self._beat_at < self._limit_s
