"""
A histogram of times, log-linear as HDR histograms are: wide, small, and true within 0.8 %.

Counts microseconds. Up to 255 each has its own bucket; above, each power of two has 128. Two of
them add up to one, so that processes and phases can be put together.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SUB: Final = 7
"""Bits of a value that are kept, besides the first."""
_MAX_US: Final = (1 << 42) - 1
"""Fifty days."""
QUANTILES: Final = (0.5, 0.9, 0.99, 0.999)


def bucket_of(us: int) -> int:
    """Return the number of the bucket of *us*."""
    shift = max(0, us.bit_length() - _SUB - 1)
    return (shift << _SUB) + (us >> shift)


def highest_of(bucket: int) -> int:
    """Return the greatest value of *bucket*, in µs."""
    shift = max(0, (bucket >> _SUB) - 1)
    return ((bucket - (shift << _SUB) + 1) << shift) - 1


class Histogram:
    """Counts of times."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts: dict[int, int] = dict(counts or {})

    def __len__(self) -> int:
        """Return how many times were recorded."""
        return sum(self._counts.values())

    def record(self, seconds: float) -> None:
        """Record one time; below 0 counts as 0."""
        bucket = bucket_of(min(max(round(seconds * 1e6), 0), _MAX_US))
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    def record_all(self, seconds: NDArray[np.float64]) -> None:
        """Record many times."""
        for us, count in zip(
            *np.unique(np.clip(np.rint(seconds * 1e6), 0, _MAX_US), return_counts=True),
            strict=True,
        ):
            bucket = bucket_of(int(us))
            self._counts[bucket] = self._counts.get(bucket, 0) + int(count)

    def add(self, other: "Histogram") -> None:
        """Add what *other* has recorded."""
        for bucket, count in other.counts().items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def counts(self) -> dict[int, int]:
        """Return the count of each bucket that is not empty."""
        return dict(self._counts)

    def quantile_s(self, quantile: float) -> float | None:
        """Return the least time that *quantile* of all do not exceed; None when there is none."""
        total = len(self)
        if not total:
            return None
        rank = max(1, -(-quantile * total // 1))
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= rank:
                return highest_of(bucket) / 1e6
        return highest_of(max(self._counts)) / 1e6

    def count_within(self, seconds: float) -> int:
        """Return how many times are at most *seconds*, a bucket more or less."""
        last = bucket_of(round(seconds * 1e6))
        return sum(count for bucket, count in self._counts.items() if bucket <= last)

    def summary(self) -> dict[str, float | None]:
        """Return the usual quantiles in seconds, and the greatest."""
        found = {f"p{q * 100:g}".replace(".", ""): self.quantile_s(q) for q in QUANTILES}
        return {**found, "max": self.quantile_s(1.0)}

    def curve(self, points: Iterable[float]) -> list[tuple[float, float]]:
        """Return the time at each of the quantiles *points*."""
        found = ((q, self.quantile_s(q)) for q in points)
        return [(q, s) for q, s in found if s is not None]
