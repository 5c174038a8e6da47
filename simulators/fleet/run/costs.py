"""
The cost of playing gateways, for the process that plays them: connecting, idling,
and the load.
"""

import resource
import time
from collections.abc import Callable


def _system_s() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


class Costs:
    """
    Processor time by purpose, and the memory of idle gateways.

    Args:
        cpu_s: Returns the processor time of this process, in seconds.

        clock: Returns the time in seconds; only differences matter.

        system_s: Returns the kernel's part of the processor time, in seconds.
    """

    def __init__(
        self,
        cpu_s: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
        system_s: Callable[[], float] = _system_s,
    ) -> None:
        self._cpu_s = cpu_s
        self._clock = clock
        self._system_s = system_s
        self._system_from_s = 0.0
        self._system_until_s: float | None = None
        self._from_s = cpu_s()
        self._idle_since = (0.0, 0.0)
        self._begun_s: float | None = None
        self._ended_s: float | None = None
        self._idle_bytes = 0
        self._connecting_s = 0.0
        self._connections = 0
        self._idle_cpu = 0.0

    def connected(self, idle_bytes: int, connections: int) -> None:
        """Note that *connections* were made, and that the gateways take *idle_bytes* of memory."""
        self._idle_bytes = idle_bytes
        self._connecting_s = self._cpu_s() - self._from_s
        self._connections = connections

    def idles(self) -> None:
        """Note that from now on the gateways are idle."""
        self._idle_since = (self._cpu_s(), self._clock())

    def begun(self) -> None:
        """Note that the load begins."""
        self._begun_s = self._cpu_s()
        self._system_from_s = self._system_s()
        cpu_s, since = self._idle_since
        if (took_s := self._clock() - since) > 0:
            self._idle_cpu = (self._begun_s - cpu_s) / took_s

    def ended(self) -> None:
        """Note that the load has ended."""
        self._ended_s = self._cpu_s()
        self._system_until_s = self._system_s()

    @property
    def figures(self) -> dict[str, float]:
        """Return the costs by name; those of several processes can be added."""
        until_s = self._cpu_s() if self._ended_s is None else self._ended_s
        system_s = self._system_s() if self._system_until_s is None else self._system_until_s
        is_begun = self._begun_s is not None
        return {
            "cpu_s": 0.0 if self._begun_s is None else until_s - self._begun_s,
            "system_s": system_s - self._system_from_s if is_begun else 0.0,
            "idle_cpu": self._idle_cpu,
            "idle_bytes": float(self._idle_bytes),
            "connecting_s": self._connecting_s,
            "connections": float(self._connections),
            "is_over": float(self._ended_s is not None),
        }
