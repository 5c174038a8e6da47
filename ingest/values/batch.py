"""Batching: when a flush is due, by envelopes, observations, bytes or age. Pure."""

import itertools
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from ingest.values.delivery import Opened


class FlushLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a flush is due: as soon as one of these is reached."""

    max_envelopes: int = 2000
    """Below half of the receive window, or a full window would wait for the age."""
    max_observations: int = 100_000
    max_bytes: int = 8_388_608
    max_age_s: float = 0.1

    def __post_init__(self) -> None:
        if self.max_envelopes < 1 or self.max_observations < 1 or self.max_bytes < 1:
            raise ValueError("max_envelopes, max_observations and max_bytes are at least 1")
        if not 0 <= self.max_age_s <= 60:
            raise ValueError("max_age_s is 0 to 60")


class Batch:
    """
    Collects opened deliveries until a flush is due.

    Holds no clock and starts no task: the caller passes the time in, seconds of a monotonic clock,
    and asks how long it may wait.
    """

    def __init__(self, limits: FlushLimits) -> None:
        self._limits = limits
        self._opened: list[Opened] = []
        self._set_aside: list[Opened] = []
        self._observations = 0
        self._bytes = 0
        self._first_at = 0.0

    def __len__(self) -> int:
        return len(self._opened)

    def add(self, opened: Opened, *, now: float) -> None:
        """Add one more."""
        self.extend([opened], now=now)

    def extend(self, opened: Sequence[Opened], *, now: float) -> None:
        """Add some more, all at once."""
        if not self._opened:
            self._first_at = now
        self._opened.extend(opened)
        self._bytes += sum([len(one.delivery.payload) for one in opened])
        self._observations += sum([one.observations for one in opened])

    @property
    def has_set_aside(self) -> bool:
        """Whether something waits for another flush to be settled."""
        return bool(self._set_aside)

    def set_aside(self, opened: Sequence[Opened]) -> None:
        """Keep *opened* until a flush is settled."""
        self._set_aside += opened

    def resume(self) -> list[Opened]:
        """Return what was set aside."""
        resumed, self._set_aside = self._set_aside, []
        return resumed

    def due_in_s(self, *, now: float) -> float | None:
        """Return how long a flush may wait: 0 when it is due, None while there is nothing."""
        if not self._opened:
            return None
        if (
            len(self._opened) >= self._limits.max_envelopes
            or self._observations >= self._limits.max_observations
            or self._bytes >= self._limits.max_bytes
        ):
            return 0.0
        return max(0.0, self._first_at + self._limits.max_age_s - now)

    def forget_older(self, generation: int) -> int:
        """
        Forget what came by a connection before *generation*; return how many deliveries that was.

        They come again. Kept, each reconnection would add a window while the database is away.
        """
        kept = [one for one in self._opened if one.delivery.generation >= generation]
        forgotten = len(self._opened) - len(kept)
        aside = [one for one in self._set_aside if one.delivery.generation >= generation]
        forgotten_aside = len(self._set_aside) - len(aside)
        self._set_aside = aside
        if forgotten:
            self._opened = kept
            self._bytes = sum([len(one.delivery.payload) for one in kept])
            self._observations = sum([one.observations for one in kept])
        return forgotten + forgotten_aside

    def take(self) -> list[Opened]:
        """
        Return the oldest of what was collected, up to the envelope that reaches a limit.

        What stays is as old as it was, so that it is due no later than it would have been.
        """
        limits = self._limits
        sizes = [len(one.delivery.payload) for one in self._opened[: limits.max_envelopes]]
        counts = [one.observations for one in self._opened[: limits.max_envelopes]]
        cut = min(_reaches(sizes, limits.max_bytes), _reaches(counts, limits.max_observations))
        taken, self._opened = self._opened[:cut], self._opened[cut:]
        self._observations -= sum(counts[:cut])
        self._bytes -= sum(sizes[:cut])
        return taken


def _reaches(amounts: Sequence[int], limit: int) -> int:
    """Return how many of *amounts* it takes to reach *limit*; all of them if they do not."""
    if sum(amounts) < limit:
        return len(amounts)
    return bisect_left(list(itertools.accumulate(amounts)), limit) + 1
