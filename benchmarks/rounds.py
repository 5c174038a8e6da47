"""Rounds: contenders in alternating order, and the medians of their figures. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import median
from typing import Final

import msgspec

Sample = dict[str, float]
"""The figures of one contender in one round, by name."""

RATE: Final = "rows_per_s"


class Turn(msgspec.Struct, frozen=True):
    """
    A contender's turn.

    Args:
        take: Runs the contender, and returns its figures.

        every: In which rounds it takes part: 1 for each, 2 for every second one.
    """

    take: Callable[[], Sample]
    every: int = 1


class Figure(msgspec.Struct, frozen=True):
    """The median of a figure, with its rounds."""

    median: float
    rounds: list[float]


def figure(values: Iterable[float]) -> Figure:
    """Return *values* with their median."""
    rounds = list(values)
    return Figure(median(rounds), rounds)


def schedule(turns: Mapping[str, Turn], rounds: int) -> Iterator[tuple[int, str]]:
    """
    Yield the round and the name of each turn; every second round is in reverse order, so that no
    contender is always the first.
    """
    for number in range(rounds):
        names = [name for name, turn in turns.items() if number % turn.every == 0]
        for name in names if number % 2 == 0 else reversed(names):
            yield number, name


class Table:
    """The figures of every contender in every round."""

    def __init__(self, samples: Mapping[str, Mapping[int, Sample]]) -> None:
        self.samples = samples

    def __contains__(self, name: str) -> bool:
        return bool(self.samples.get(name))

    def figure(self, name: str, key: str = RATE) -> Figure:
        """Return a figure of a contender."""
        return figure(sample[key] for sample in self.samples[name].values())

    def ratio(self, name: str, to: str, key: str = RATE) -> Figure:
        """
        Return a figure of *name* divided by that of *to*, for each round that both
        took part in.
        """
        ours, theirs = self.samples[name], self.samples[to]
        return figure(ours[n][key] / theirs[n][key] for n in sorted(ours.keys() & theirs.keys()))


def play(turns: Mapping[str, Turn], *, rounds: int, say: Callable[[str], None]) -> Table:
    """Run the turns of all rounds; return the table."""
    samples: dict[str, dict[int, Sample]] = {name: {} for name in turns}
    for number, name in schedule(turns, rounds):
        sample = samples[name][number] = turns[name].take()
        say(f"round {number + 1} of {rounds}: {name:<18} {sample[RATE]:>12,.0f} readings/s")
    return Table(samples)


def line(points: Mapping[int, float]) -> tuple[float, float]:
    """Return intercept and slope of the least-squares line through *points*, weighted by 1/y²."""
    weights = {x: 1 / (y * y) for x, y in points.items()}
    total = sum(weights.values())
    mean_x = sum(w * x for x, w in weights.items()) / total
    mean_y = sum(weights[x] * y for x, y in points.items()) / total
    spread = sum(w * (x - mean_x) ** 2 for x, w in weights.items())
    slope = sum(weights[x] * (x - mean_x) * (y - mean_y) for x, y in points.items()) / spread
    return mean_y - slope * mean_x, slope
