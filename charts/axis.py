"""
Axes: where a value lies between two ends, and the round numbers that are written there.

Ticks follow the steps 1, 2 and 5 times a power of ten (Lewart, "Algorithms SCALE1, SCALE2 and
SCALE3", Communications of the ACM 16, 1973).
"""

import math
from collections.abc import Iterator
from typing import Protocol


class Axis(Protocol):
    """Values between two ends, with a place for each and labels for some."""

    def share(self, value: float) -> float:
        """Return the place of *value*: 0 at the low end, 1 at the high end."""
        ...

    def ticks(self) -> Iterator[float]:
        """Yield the values that are labelled, ascending."""
        ...


class LinearAxis:
    """
    An axis on which equal distances are equal differences.

    Args:
        low: Value at its start, finite.

        high: Value at its end, finite; without extent the axis reaches 1 further.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._extent = high - low if high > low else 1.0

    def share(self, value: float) -> float:
        """Return the place of *value*: 0 at the low end, 1 at the high end."""
        return (value - self._low) / self._extent

    def ticks(self) -> Iterator[float]:
        """Yield four to ten multiples of 1, 2 or 5 times a power of ten."""
        rough = self._extent / 8
        ten = 10.0 ** math.floor(math.log10(rough))
        step = next(step for step in (ten, 2 * ten, 5 * ten, 10 * ten) if step >= rough * 0.999)
        place, high = math.ceil(self._low / step - 1e-9), self._low + self._extent
        while place * step <= high + step * 1e-9:
            yield round(place * step, 12)
            place += 1


class LogAxis:
    """
    An axis on which equal distances are equal ratios.

    The ends are moved outward to 1, 2 or 5 times a power of ten.

    Args:
        low: Least value, above 0.

        high: Greatest value, at least *low*.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low = max(step for step in _round_near(low) if step < low)
        self._high = min(step for step in _round_near(high) if step > high)

    def share(self, value: float) -> float:
        """Return the place of *value*, above 0: 0 at the low end, 1 at the high end."""
        return math.log(value / self._low, self._high / self._low)

    def ticks(self) -> Iterator[float]:
        """Yield 1, 2 and 5 times the powers of ten; over more than four decades, these alone."""
        decades = range(math.floor(math.log10(self._low)), math.ceil(math.log10(self._high)) + 1)
        factors = (1, 2, 5) if len(decades) <= 4 else (1,)
        for decade in decades:
            steps = (factor * 10.0**decade for factor in factors)
            yield from (s for s in steps if self._low * 0.999 <= s <= self._high * 1.001)


def _round_near(value: float) -> tuple[float, ...]:
    ten = 10.0 ** math.floor(math.log10(value))
    return tuple(factor * ten for factor in (0.5, 1, 2, 5, 10, 20))
