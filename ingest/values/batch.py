"""Batching: a flush is due by number of envelopes or observations, by bytes or by age. Pure."""

import itertools
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from ingest.values.delivery import Opened


class FlushLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flush is due as soon as one of these limits is reached."""

    max_envelopes: int = 2000
    """
    Number of envelopes; less than half of `receive_max`, because otherwise the broker stops
    sending before the limit is reached, and the flush waits for its age.
    """
    max_observations: int = 100_000
    """Number of observations in all envelopes."""
    max_bytes: int = 8_388_608
    """Sum of the sizes of all envelopes."""
    max_age_s: float = 0.1
    """Age of the oldest envelope."""

    def __post_init__(self) -> None:
        if self.max_envelopes < 1 or self.max_observations < 1 or self.max_bytes < 1:
            raise ValueError("max_envelopes, max_observations and max_bytes must be at least 1")
        if not 0 <= self.max_age_s <= 60:
            raise ValueError("max_age_s must be 0 to 60")


class Batch:
    """
    Collects opened deliveries until a flush is due.

    Has no clock and no task: the caller passes the time, in seconds of a monotonic clock, and asks
    how long it may wait.
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
        """Add one delivery."""
        self.extend([opened], now=now)

    def extend(self, opened: Sequence[Opened], *, now: float) -> None:
        """Add several deliveries of the same age."""
        if not self._opened:
            self._first_at = now
        self._opened.extend(opened)
        self._bytes += sum([len(one.delivery.payload) for one in opened])
        self._observations += sum([one.observations for one in opened])

    @property
    def has_set_aside(self) -> bool:
        """Whether a delivery waits until another flush is settled."""
        return bool(self._set_aside)

    def set_aside(self, opened: Sequence[Opened]) -> None:
        """Keep *opened* until another flush is settled."""
        self._set_aside += opened

    def resume(self) -> list[Opened]:
        """Remove and return the deliveries that were set aside."""
        resumed, self._set_aside = self._set_aside, []
        return resumed

    def due_in_s(self, *, now: float) -> float | None:
        """Return the time until a flush is due, s: 0 if it is due now, None if nothing waits."""
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
        Drop the deliveries of connections before *generation*; return their number.

        The broker resends them. If they were kept, each reconnect would add a whole receive window
        to the memory while the database is away.
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
        Remove and return the oldest deliveries, up to the one that reaches a limit.

        The remaining deliveries keep their age, so that the next flush is not delayed.
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
    """Return how many leading *amounts* are needed to reach *limit*; all if the sum is less."""
    if sum(amounts) < limit:
        return len(amounts)
    return bisect_left(list(itertools.accumulate(amounts)), limit) + 1
