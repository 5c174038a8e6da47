"""Processor time and memory of the processes of a run, and the file limit of this process."""

import contextlib
import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

_SEARCH_EVERY: Final = 5


class Use(msgspec.Struct, frozen=True):
    """What a group of processes uses at a moment."""

    cpu_s: float
    """Processor time in total, as far as it was sampled; never falls."""
    rss_bytes: int


class Meter:
    """
    Reads groups of processes, each with all of its descendants.

    Args:
        groups: Process ids by name of the group.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self._known: dict[str, list[psutil.Process]] = {}
        self._cpu_s: dict[str, dict[psutil.Process, float]] = {name: {} for name in groups}
        """Including processes that have ended, because servers start and end processes all the
        time."""
        self._reads = 0
        self.highest: dict[str, int] = {}
        """The highest memory in bytes, by name of the group."""

    def read(self) -> dict[str, Use]:
        """Return what each group uses now."""
        if self._reads % _SEARCH_EVERY == 0:
            # Reading the children of processes reads all of /proc.
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
                # Shared memory is counted once: the buffers of PostgreSQL are in all of its
                # processes.
                own += memory.rss - memory.shared
                shared = max(shared, memory.shared)
        return Use(sum(spent.values()), own + shared)


def _with_children(pids: Sequence[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            yield process
            # All processes of a run are children of this one, and are counted under their own
            # names.
            if pid == os.getpid():
                continue
            yield from process.children(recursive=True)


def rss_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> int:
    """Raise the soft limit of open files, for this process and its children; return the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
