"""The clocks of this machine."""

import time


class SystemClock:
    """A `Clock`."""

    def now(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
