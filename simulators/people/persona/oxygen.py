"""The oxygen saturation of an invented person, as an oximeter on a finger measures it."""

import random
from collections.abc import Iterator
from typing import Final

import msgspec

from simulators.people.persona.day import Calendar, traits_of
from simulators.people.persona.heart import rate_bpm

STEP_MS: Final = 1000
_TAKEN_OFF_PER_S: Final = 1 / 1800


class Saturation(msgspec.Struct, frozen=True):
    """The saturation and pulse of one second."""

    spo2_percent: float | None
    """None when no finger is in the sensor."""
    pulse_bpm: float


def saturations(seed: str, *, start_ms: int) -> Iterator[Saturation]:
    """
    Yield the saturation of each second, without end.

    Args:
        seed: The seed of the person.

        start_ms: The time of the first value, in ms since the person's first midnight.
    """
    draw = random.Random(f"{seed}/oxygen")
    traits, calendar = traits_of(seed), Calendar(seed)
    usual = draw.uniform(95.5, 98.5)
    drift = 0.0
    off_until_ms = 0
    at_ms = start_ms
    while True:
        at_ms += STEP_MS
        drift = 0.98 * drift + draw.gauss(0, 0.12)
        if draw.random() < _TAKEN_OFF_PER_S:
            off_until_ms = at_ms + draw.randint(10, 90) * 1000
        pulse = float(round(rate_bpm(at_ms, traits, calendar.days_near(at_ms))))
        spo2 = float(round(min(usual + drift, 100.0)))
        yield Saturation(None if at_ms < off_until_ms else spo2, pulse)
