"""The traits of an invented person, and what they do on each day."""

import random
from typing import Final

import msgspec

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Traits(msgspec.Struct, frozen=True):
    """What stays the same from day to day."""

    resting_bpm: float
    maximal_bpm: float
    ectopic_share: float
    """Share of heart beats that come early."""
    glucose_mmol_l: float
    """Fasting glucose, to which meals and exercise return."""
    rise_per_gram: float
    """Rise of glucose at its peak per gram of carbohydrate, in mmol/L."""
    sensor_lag_ms: int
    """Delay of glucose in interstitial fluid behind that in blood, in ms."""


class Meal(msgspec.Struct, frozen=True):
    """Carbohydrates at a moment."""

    at_ms: int
    grams: float


class Exercise(msgspec.Struct, frozen=True):
    """A bout of exercise; its intensity is a share of the heart-rate reserve."""

    from_ms: int
    until_ms: int
    intensity: float


class Day(msgspec.Struct, frozen=True):
    """A day's timetable, in ms since the first midnight."""

    wakes_ms: int
    sleeps_ms: int
    meals: tuple[Meal, ...]
    exercise: Exercise | None
    hypoglycaemia_ms: int | None
    """When glucose is lowest; None on a day without hypoglycaemia."""


def traits_of(seed: str) -> Traits:
    """Return the traits of the person with this seed."""
    draw = random.Random(f"{seed}/traits")
    return Traits(
        resting_bpm=draw.uniform(50, 72),
        maximal_bpm=draw.uniform(165, 195),
        ectopic_share=draw.choice([0.0, 0.002, 0.03]),
        glucose_mmol_l=draw.uniform(4.1, 6.2),
        rise_per_gram=draw.uniform(0.05, 0.11),
        sensor_lag_ms=draw.randint(5, 12) * 60_000,
    )


def day_of(seed: str, number: int) -> Day:
    """Return day *number*, counted from 0, of the person with this seed."""
    draw = random.Random(f"{seed}/day/{number}")
    midnight = number * DAY_MS

    def around(hour: float, spread_h: float) -> int:
        return midnight + round(draw.gauss(hour, spread_h) * HOUR_MS)

    wakes, sleeps = around(7, 0.4), around(23, 0.4)
    meals = [
        Meal(wakes + draw.randint(20, 80) * 60_000, draw.uniform(30, 60)),
        Meal(around(12.6, 0.4), draw.uniform(45, 90)),
        Meal(around(19.2, 0.5), draw.uniform(50, 100)),
    ]
    if draw.random() < 0.5:
        meals.append(Meal(around(16.2, 0.5), draw.uniform(10, 30)))
    exercise = None
    if draw.random() < 0.6:
        begins = around(draw.choice([8.5, 17.5]), 0.6)
        ends = begins + draw.randint(20, 70) * 60_000
        exercise = Exercise(begins, ends, draw.uniform(0.35, 0.9))
    low = around(draw.choice([3.5, 11.4, 18.3]), 0.5) if draw.random() < 0.35 else None
    return Day(wakes, sleeps, tuple(meals), exercise, low)


class Calendar:
    """The days of one person, each drawn once."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._days: dict[int, Day] = {}

    def days_near(self, at_ms: int) -> tuple[Day, Day, Day]:
        """Return the days before, of and after *at_ms*; neighbouring days reach into it."""
        number = at_ms // DAY_MS
        for old in [known for known in self._days if known < number - 1]:
            del self._days[old]
        for wanted in (number - 1, number, number + 1):
            if wanted not in self._days:
                self._days[wanted] = day_of(self._seed, wanted)
        return self._days[number - 1], self._days[number], self._days[number + 1]
