"""When an invented person measures with a test strip, and what the strip shows."""

import enum
import random
from collections.abc import Iterator
from typing import Final

import msgspec

from simulators.people.persona.day import DAY_MS, Calendar, Day, traits_of
from simulators.people.persona.glucose import glucose_mmol_l

_MINUTE_MS: Final = 60_000
_TOO_LITTLE_BLOOD: Final = 0.02
_ERROR: Final = 0.05


class Moment(enum.StrEnum):
    """Where in the day a measurement lies."""

    FASTING = "fasting"
    BEFORE_MEAL = "before_meal"
    AFTER_MEAL = "after_meal"
    BEDTIME = "bedtime"


class Fingerstick(msgspec.Struct, frozen=True):
    """A measurement with a strip, *offset_ms* after the start."""

    offset_ms: int
    moment: Moment
    mmol_per_l: float | None
    """None when there was too little blood on the strip."""


def fingersticks(seed: str, *, start_ms: int) -> Iterator[Fingerstick]:
    """Yield the measurements, endless, from *start_ms* since the person's first midnight on."""
    draw = random.Random(f"{seed}/strips")
    traits, calendar = traits_of(seed), Calendar(seed)
    number = start_ms // DAY_MS
    while True:
        days = calendar.days_near(number * DAY_MS)
        for at_ms, moment in sorted(_moments(days[1], draw)):
            if at_ms < start_ms:
                continue
            level = glucose_mmol_l(at_ms, traits, calendar.days_near(at_ms))
            is_wasted = draw.random() < _TOO_LITTLE_BLOOD
            value = None if is_wasted else round(level * draw.gauss(1, _ERROR), 1)
            yield Fingerstick(at_ms - start_ms, moment, value)
        number += 1


def _moments(day: Day, draw: random.Random) -> Iterator[tuple[int, Moment]]:
    yield day.wakes_ms + draw.randint(1, 15) * _MINUTE_MS, Moment.FASTING
    for meal in day.meals[1:]:
        yield meal.at_ms - draw.randint(3, 20) * _MINUTE_MS, Moment.BEFORE_MEAL
        if draw.random() < 0.5:
            yield meal.at_ms + draw.randint(100, 140) * _MINUTE_MS, Moment.AFTER_MEAL
    yield day.sleeps_ms - draw.randint(5, 40) * _MINUTE_MS, Moment.BEDTIME
