"""The cost of a process: processor time and memory, read from /proc during its work."""

import threading
import time
from bisect import bisect_left
from pathlib import Path
from types import TracebackType

import msgspec

_EVERY_S = 0.02


def cpu_s(pid: int) -> float:
    """
    Return the processor time of *pid* so far, in seconds with ns precision.

    Threads that have ended count as well, as those of a server with a thread for each request.
    """
    # The clock of another process, as clock_getcpuclockid(3) makes it, which Python does not have.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Return the resident memory of *pid* in bytes; with `VmHWM`, the most that it ever had."""
    for text in Path(f"/proc/{pid}/status").read_text().splitlines():
        if text.startswith(f"{field}:"):
            return int(text.split()[1]) * 1024
    return 0


class Point(msgspec.Struct, frozen=True):
    """The processor time at an instant."""

    at_s: float
    cpu_s: float


class Sampler:
    """Samples the processor time of a process while the context is open."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._points: list[Point] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._points.append(Point(time.time(), cpu_s(self._pid)))

    def __enter__(self) -> "Sampler":
        self._points.append(Point(time.time(), cpu_s(self._pid)))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def between(self, first_s: float, last_s: float) -> float:
        """Return the processor time between two instants, in seconds since 1970."""
        return self._at(last_s) - self._at(first_s)

    def _at(self, instant_s: float) -> float:
        times = [point.at_s for point in self._points]
        place = min(max(bisect_left(times, instant_s), 1), len(times) - 1)
        one, other = self._points[place - 1], self._points[place]
        share = (instant_s - one.at_s) / (other.at_s - one.at_s)
        return one.cpu_s + (other.cpu_s - one.cpu_s) * min(max(share, 0.0), 1.0)
