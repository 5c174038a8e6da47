"""
A heart: its rate over the day, its beats, and the chest strap that measures them.

The strap reports the mean of its last intervals as heart rate. So rate and intervals agree, and
disagree for a moment when a beat comes early, as with a real strap.
"""

import collections
import math
import random
from collections.abc import Iterator
from typing import Final

from recordings.sample import Sample, SampleFault
from simulators.people.persona.day import (
    DAY_MS,
    HOUR_MS,
    Calendar,
    Day,
    Exercise,
    Traits,
    traits_of,
)

STEP_MS: Final = 1000
_AVERAGED_BEATS: Final = 8
_LOST_CONTACT_PER_S: Final = 1 / 7200


def rate_bpm(at_ms: float, traits: Traits, days: tuple[Day, Day, Day]) -> float:
    """
    Return the heart rate at *at_ms*, in beats per minute, within 38 and the person's
    maximum.
    """
    today = days[1]
    asleep = at_ms < today.wakes_ms or at_ms >= today.sleeps_ms
    # Lowest at four in the morning.
    circadian = -4 * math.cos((at_ms % DAY_MS - 4 * HOUR_MS) / DAY_MS * math.tau)
    awake = 0.0 if asleep else 7 + _bustle(at_ms, traits)
    digesting = sum(
        4 for day in days for meal in day.meals if 0 < at_ms - meal.at_ms < 1.5 * HOUR_MS
    )
    reserve = traits.maximal_bpm - traits.resting_bpm
    effort = sum(_effort(at_ms, day.exercise) for day in days if day.exercise is not None)
    rate = traits.resting_bpm + circadian + awake + digesting + effort * reserve
    return min(max(rate, 38.0), traits.maximal_bpm)


def _bustle(at_ms: float, traits: Traits) -> float:
    """Return what standing up, stairs and errands add, in beats per minute."""
    phase = traits.resting_bpm
    rhythm = math.sin(at_ms / 137_000 + phase) * math.sin(at_ms / 1_020_000 + 2 * phase)
    errand = math.sin(at_ms / 460_000 + 3 * phase) * math.sin(at_ms / 2_530_000 + phase)
    return 5 * rhythm + 50 * max(0.0, errand - 0.25)


def _effort(at_ms: float, bout: Exercise) -> float:
    """
    Return the share of the heart-rate reserve: it rises within minutes and recovers
    more slowly.
    """
    if at_ms <= bout.from_ms:
        return 0.0
    risen = bout.intensity * (1 - math.exp(-(min(at_ms, bout.until_ms) - bout.from_ms) / 70_000))
    return risen * math.exp(-max(0.0, at_ms - bout.until_ms) / 160_000)


def _intervals(seed: str, start_ms: int) -> Iterator[tuple[float, int]]:
    """Yield for each beat its time in ms, and the interval before it in ms."""
    draw = random.Random(f"{seed}/beats")
    traits, calendar = traits_of(seed), Calendar(seed)
    at_ms = float(start_ms)
    owed = 1.0
    while True:
        regular = 60_000 / rate_bpm(at_ms, traits, calendar.days_near(int(at_ms)))
        breathing = 0.03 * math.sin(at_ms / 4000 * math.tau)
        interval = regular * (1 + breathing + draw.gauss(0, 0.012)) * owed
        owed = 1.0
        if draw.random() < traits.ectopic_share:
            # An early beat is followed by a compensatory pause.
            interval *= 0.62
            owed = 1.38
        rounded = max(280, round(interval))
        at_ms += rounded
        yield at_ms, rounded


def strap(seed: str, *, start_ms: int) -> Iterator[Sample]:
    """Yield the samples of a strap, each second, endless, offsets from *start_ms*."""
    draw = random.Random(f"{seed}/contact")
    beats = _intervals(seed, start_ms)
    beat_ms, interval = next(beats)
    recent: collections.deque[int] = collections.deque(maxlen=_AVERAGED_BEATS)
    lost_until_ms = 0
    offset_ms = 0
    while True:
        offset_ms += STEP_MS
        if draw.random() < _LOST_CONTACT_PER_S:
            lost_until_ms = offset_ms + draw.randint(20, 240) * 1000
        is_lost = offset_ms < lost_until_ms
        while beat_ms - start_ms <= offset_ms:
            recent.append(interval)
            if not is_lost:
                yield Sample(int(beat_ms) - start_ms, "rr_interval", float(interval))
            beat_ms, interval = next(beats)
        if is_lost:
            yield Sample(offset_ms, "heart_rate", None, SampleFault.OFF_BODY)
        elif recent:
            mean = sum(recent) / len(recent)
            yield Sample(offset_ms, "heart_rate", float(round(60_000 / mean)))
