"""What each process of a run uses: CPU time and memory, sampled as the run goes."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import psutil

_SEARCH_EVERY: Final = 5


class Use(msgspec.Struct, frozen=True):
    """What a group of processes uses at a moment."""

    cpu_s: float
    """In all, as far as it was watched; it never falls."""
    rss_bytes: int


class Meter:
    """
    Reads groups of processes, each with all that they started.

    Args:
        groups: Process ids by name.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self._known: dict[str, list[psutil.Process]] = {}
        self._cpu_s: dict[str, dict[psutil.Process, float]] = {name: {} for name in groups}
        """Of those that have ended as well: servers start and end processes as they go."""
        self._reads = 0
        self.highest: dict[str, int] = {}
        """Memory, by name."""

    def read(self) -> dict[str, Use]:
        """Return what each group uses now."""
        if self._reads % _SEARCH_EVERY == 0:
            # Looking for children reads all of /proc.
            self._known = {name: list(_with_children(p)) for name, p in self._groups.items()}
        self._reads += 1
        found = {name: self._use(name, processes) for name, processes in self._known.items()}
        for name, use in found.items():
            self.highest[name] = max(self.highest.get(name, 0), use.rss_bytes)
        return found

    def _use(self, name: str, processes: Sequence[psutil.Process]) -> Use:
        spent, own, shared = self._cpu_s[name], 0, 0
        for process in processes:
            with contextlib.suppress(psutil.Error):
                times, memory = process.cpu_times(), process.memory_info()
                spent[process] = times.user + times.system
                # What processes share is counted once: PostgreSQL's buffers are in all of them.
                own += memory.rss - memory.shared
                shared = max(shared, memory.shared)
        return Use(sum(spent.values()), own + shared)


def _with_children(pids: Sequence[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            yield process
            # All of a run are children of this very process, and counted under their own names.
            if pid == os.getpid():
                continue
            yield from process.children(recursive=True)
