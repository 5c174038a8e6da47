"""
Which intervals have their observation, in any order of arrival. Pure.

Measurements come in no order that can be relied on: a cuff tells its memory newest first, and
records are fetched after fresher readings came. So the intervals are remembered one by one, not
only the newest of them.
"""

import bisect
from typing import Final

MAX_RUNS: Final = 512
"""How many runs of neighbouring intervals are remembered."""


class SpentIntervals:
    """
    The numbers of intervals, as runs of neighbours.

    If there are too many runs, the earliest is forgotten. What was before the start of the process
    is not known one by one either; `is_known` tells where the memory begins.

    Args:
        before: The first interval that was not spent at the start; the one before it was.
    """

    def __init__(self, *, before: int | None = None) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._begins = before
        if before is not None:
            self.add(before - 1)

    def __contains__(self, number: int) -> bool:
        index = bisect.bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def is_known(self, number: int) -> bool:
        """Tell whether `in` is certain for the interval *number*."""
        return self._begins is None or number >= self._begins

    def add(self, number: int) -> None:
        """Note that the interval *number* has its observation."""
        if number in self:
            return
        index = bisect.bisect_right(self._firsts, number)
        follows = index > 0 and self._lasts[index - 1] == number - 1
        precedes = index < len(self._firsts) and self._firsts[index] == number + 1
        if follows and precedes:
            self._lasts[index - 1] = self._lasts.pop(index)
            del self._firsts[index]
        elif follows:
            self._lasts[index - 1] = number
        elif precedes:
            self._firsts[index] = number
        else:
            self._firsts.insert(index, number)
            self._lasts.insert(index, number)
            self._forget()

    def _forget(self) -> None:
        if len(self._firsts) > MAX_RUNS:
            del self._firsts[0]
            self._begins = max(self._lasts.pop(0) + 1, self._begins or 0)
