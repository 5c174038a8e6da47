"""The steady rate of a round, from the times of its commits or arrivals. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.world.database import Commit

WARM_UP: Final = 0.1
"""
The share of a round that is not counted: connections, session keys, plans and caches are made in
it.
"""


class Steady(msgspec.Struct, frozen=True):
    """The amount that was committed between two commits, and the time between them."""

    first_s: float
    last_s: float
    units: int

    @property
    def rate(self) -> float:
        """The rate, in units a second."""
        return self.units / (self.last_s - self.first_s)


def steady(commits: Sequence[Commit]) -> Steady:
    """
    Return the rate of *commits* after the first tenth.

    Raises:
        BenchError: There are too few commits to compute a rate.
    """
    total = sum(commit.rows for commit in commits)
    passed = 0
    for index, commit in enumerate(commits):
        passed += commit.rows
        if passed >= WARM_UP * total and index + 1 < len(commits):
            return Steady(commit.at_s, commits[-1].at_s, total - passed)
    raise BenchError("A round was committed in one piece, so that it has no rate.")
