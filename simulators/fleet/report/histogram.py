"""
A log-linear histogram of times, as HDR histograms are: wide, small, and exact to 0.8 %.

Counts microseconds. Values up to 255 have a bucket each; above, each power of two has 128 buckets.
Histograms can be added, so that processes and phases can be combined.
"""

import array
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SUB: Final = 7
"""Bits of a value that are kept, besides the leading one."""
_MAX_US: Final = (1 << 42) - 1
"""The greatest value that is kept apart: fifty days, in µs."""
QUANTILES: Final = (0.5, 0.9, 0.99, 0.999)


def bucket_of(us: int) -> int:
    """Return the index of the bucket of *us* microseconds."""
    shift = max(0, us.bit_length() - _SUB - 1)
    return (shift << _SUB) + (us >> shift)


def highest_of(bucket: int) -> int:
    """Return the greatest value of *bucket*, in µs."""
    shift = max(0, (bucket >> _SUB) - 1)
    return ((bucket - (shift << _SUB) + 1) << shift) - 1


class Histogram:
    """Counts of times, in buckets of microseconds."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts: dict[int, int] = dict(counts or {})
        self._fresh = array.array("d")
        self.record: Callable[[float], None] = self._fresh.append
        """Record one time in seconds; negative times count as 0. Counting is deferred until a
        figure is asked for."""

    def __len__(self) -> int:
        """Return how many times were recorded."""
        return sum(self.counts().values())

    def record_all(self, seconds: NDArray[np.float64]) -> None:
        """Record a vector of times, in seconds."""
        us = np.clip(np.rint(seconds * 1e6), 0, _MAX_US)
        # As `bucket_of`, vectorised: frexp returns the length in bits.
        shift = np.maximum(np.frexp(us)[1] - _SUB - 1, 0).astype(np.int64)
        buckets = (shift << _SUB) + (us.astype(np.int64) >> shift)
        for bucket, count in zip(*map(np.ndarray.tolist, np.unique(buckets, return_counts=True)),
                                 strict=True):  # fmt: skip
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def add(self, other: "Histogram") -> None:
        """Add the counts of *other*."""
        for bucket, count in other.counts().items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def counts(self) -> dict[int, int]:
        """Return the count of each bucket that is not empty."""
        if self._fresh:
            self.record_all(np.array(self._fresh))
            del self._fresh[:]
        return dict(self._counts)

    def quantile_s(self, quantile: float) -> float | None:
        """
        Return the least time that the share *quantile* of all does not exceed; None
        without times.
        """
        counts = self.counts()
        if not counts:
            return None
        rank = max(1, -(-quantile * sum(counts.values()) // 1))
        seen = 0
        for bucket in sorted(counts):
            seen += counts[bucket]
            if seen >= rank:
                return highest_of(bucket) / 1e6
        return highest_of(max(counts)) / 1e6

    def count_within(self, seconds: float) -> int:
        """Return how many times are at most *seconds*, exact to one bucket."""
        last = bucket_of(round(seconds * 1e6))
        return sum(count for bucket, count in self.counts().items() if bucket <= last)

    def summary(self) -> dict[str, float | None]:
        """Return the usual quantiles and the maximum, in seconds."""
        found = {f"p{q * 100:g}".replace(".", ""): self.quantile_s(q) for q in QUANTILES}
        return {**found, "max": self.quantile_s(1.0)}

    def curve(self, points: Iterable[float]) -> list[tuple[float, float]]:
        """Return the time at each of the quantiles *points*."""
        found = ((q, self.quantile_s(q)) for q in points)
        return [(q, s) for q, s in found if s is not None]
