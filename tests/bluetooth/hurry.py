"""An event loop with virtual time: hours of sensors take a minute of real time."""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from edge_agent.sources.clock import SystemClock

T = TypeVar("T")


class _Skipping(selectors.DefaultSelector):
    """
    A selector that waits only for files; it skips the waits for timers, and counts the skipped
    time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.skipped_s += timeout
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """
    An event loop whose clock jumps to the next timer when no task can run. Threads are not
    supported.
    """

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return time.monotonic() + self._skipping.skipped_s


class HurriedClock(SystemClock):
    """The clocks of a machine whose time passes as in the running loop."""

    def __init__(self) -> None:
        self._began_ms = time.time_ns() // 1_000_000
        self._began = self.now()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def now_ms(self) -> int:
        return self._began_ms + round((self.now() - self._began) * 1000)

    def seconds(self) -> float:
        """Return the seconds since 1970, for the sensors."""
        return self.now_ms() / 1000


def hurry(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* in such a loop; return its result."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(work)
