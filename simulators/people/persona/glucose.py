"""
Glucose over the day, and the CGM sensor that follows it with a lag and with noise.

A sensor lives for ten days, and warms up in the first hour. Beyond 2.2 to 22.2 mmol/L it reports
its limit and no value. Sometimes it is silent or faulty.
"""

import math
import random
from collections.abc import Iterator
from typing import Final

from recordings.sample import Sample, SampleFault
from simulators.people.persona.day import DAY_MS, HOUR_MS, Calendar, Day, Traits, traits_of

STEP_MS: Final = 300_000
WARM_UP_MS: Final = HOUR_MS
LIFE_MS: Final = 10 * DAY_MS
LOWEST: Final = 2.2
HIGHEST: Final = 22.2
_PEAK_MS: Final = 55 * 60_000
_NADIR: Final = 2.7
_SILENCE: Final = 0.003
_FAULT: Final = 0.001


def glucose_mmol_l(at_ms: int, traits: Traits, days: tuple[Day, Day, Day]) -> float:
    """Return the glucose in blood at *at_ms*, in mmol/L, within 1.2 to 30."""
    hour = (at_ms % DAY_MS) / HOUR_MS
    dawn = 1.6 * math.exp(-(((hour - 6.5) / 1.6) ** 2))
    phase = traits.glucose_mmol_l * 10
    # Slow changes by insulin, stress and differences between days.
    slow = 0.9 * math.sin(at_ms / 17_000_000 + phase) + 0.5 * math.sin(at_ms / 5_900_000 + phase)
    level = traits.glucose_mmol_l + dawn + slow
    for day in days:
        for meal in day.meals:
            level += meal.grams * traits.rise_per_gram * _shape((at_ms - meal.at_ms) / _PEAK_MS)
        if day.exercise is not None:
            bout = day.exercise
            since = (at_ms - bout.from_ms) / (bout.until_ms - bout.from_ms + HOUR_MS)
            level -= 3.0 * bout.intensity * _shape(since * 1.5)
    for day in days:
        if day.hypoglycaemia_ms is not None:
            pull = math.exp(-(((at_ms - day.hypoglycaemia_ms) / (25 * 60_000)) ** 2))
            level += (_NADIR - level) * pull
    return min(max(level, 1.2), 30.0)


def _shape(x: float) -> float:
    """Return a curve that rises to 1 at x = 1 and falls slowly afterwards."""
    return x * math.exp(1 - x) if x > 0 else 0.0


def cgm(seed: str, *, start_ms: int, age_ms: int) -> Iterator[Sample]:
    """
    Yield the samples of a CGM sensor, one each five minutes, endless, offsets from *start_ms*.

    Args:
        seed: The seed of the person.

        start_ms: In ms since the person's first midnight.

        age_ms: How long the person has worn the first sensor by then.
    """
    draw = random.Random(f"{seed}/cgm")
    traits, calendar = traits_of(seed), Calendar(seed)
    noise = 0.0
    silent = 0
    offset_ms = 0
    while True:
        noise = 0.8 * noise + draw.gauss(0, 0.12)
        then = max(0, start_ms + offset_ms - traits.sensor_lag_ms)
        level = glucose_mmol_l(then, traits, calendar.days_near(then)) + noise
        if silent == 0 and draw.random() < _SILENCE:
            silent = draw.randint(2, 12)
        fault = _fault_of(level, (age_ms + offset_ms) % LIFE_MS, at_fault=draw.random() < _FAULT)
        if silent > 0:
            silent -= 1
        elif fault is not None:
            yield Sample(offset_ms, "glucose_interstitial", None, fault)
        else:
            yield Sample(offset_ms, "glucose_interstitial", round(level, 1))
        offset_ms += STEP_MS


def _fault_of(level: float, age_ms: int, *, at_fault: bool) -> SampleFault | None:
    if age_ms < WARM_UP_MS:
        return SampleFault.WARM_UP
    if at_fault:
        return SampleFault.SENSOR_FAULT
    return None if LOWEST <= level <= HIGHEST else SampleFault.SATURATED
