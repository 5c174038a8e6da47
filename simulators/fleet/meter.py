"""What each process of a run uses: CPU time and memory, sampled as the run goes."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import psutil


class Use(msgspec.Struct, frozen=True):
    """What a group of processes uses at a moment."""

    cpu_s: float
    rss_bytes: int


class Meter:
    """
    Reads groups of processes, each with all that they started.

    Args:
        groups: Process ids by name.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self.highest: dict[str, int] = {}
        """Memory, by name."""

    def read(self) -> dict[str, Use]:
        """Return what each group uses now."""
        found = {name: self._use(pids) for name, pids in self._groups.items()}
        for name, use in found.items():
            self.highest[name] = max(self.highest.get(name, 0), use.rss_bytes)
        return found

    def _use(self, pids: Sequence[int]) -> Use:
        cpu_s, own, shared = 0.0, 0, 0
        for process in self._with_children(pids):
            with contextlib.suppress(psutil.Error):
                times, memory = process.cpu_times(), process.memory_info()
                cpu_s += times.user + times.system
                # What processes share is counted once: PostgreSQL's buffers are in all of them.
                own += memory.rss - memory.shared
                shared = max(shared, memory.shared)
        return Use(cpu_s, own + shared)

    @staticmethod
    def _with_children(pids: Sequence[int]) -> Iterator[psutil.Process]:
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                yield process
                yield from process.children(recursive=True)
