"""Personas: plausible and reproducible."""

import itertools
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recordings.sample import Sample, SampleFault
from simulators.people.persona import glucose, heart
from simulators.people.persona.day import DAY_MS, HOUR_MS, Calendar, day_of, traits_of
from wire.quantities import BY_NAME

SEEDS = [f"1/{n}" for n in range(1, 9)]


def strap(seed: str, hours: float, *, start_h: float = 9) -> list[Sample]:
    """Return the samples of a strap for *hours*."""
    played = heart.strap(seed, start_ms=round(start_h * HOUR_MS))
    return list(itertools.takewhile(lambda s: s.offset_ms < hours * HOUR_MS, played))


def cgm(seed: str, days: float, *, age_ms: int = 2 * HOUR_MS) -> list[Sample]:
    """Return the samples of a CGM sensor for *days*."""
    played = glucose.cgm(seed, start_ms=0, age_ms=age_ms)
    return list(itertools.takewhile(lambda s: s.offset_ms < days * DAY_MS, played))


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_same_seed_is_the_same_person(seed: str) -> None:
    """The same seed gives the same samples, byte for byte."""
    assert strap(seed, 0.1) == strap(seed, 0.1)
    assert cgm(seed, 2) == cgm(seed, 2)


def test_other_seed_is_another_person() -> None:
    """Two people differ."""
    assert len({traits_of(seed) for seed in SEEDS}) == len(SEEDS)
    assert day_of("1/1", 0) != day_of("1/1", 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_values_are_plausible(seed: str) -> None:
    """Every value of a persona is plausible."""
    for sample in strap(seed, 1, start_h=17) + cgm(seed, 20):
        quantity = BY_NAME[sample.quantity]
        assert (sample.value is None) != (sample.fault is None)
        if sample.value is not None:
            assert quantity.is_plausible(quantity.to_steps(sample.value))


def test_offsets_never_go_back() -> None:
    """The offsets of samples never descend."""
    offsets = [s.offset_ms for s in strap("1/1", 1)]

    assert offsets == sorted(offsets)


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_and_intervals_agree(seed: str) -> None:
    """Over minutes the mean rate agrees with the intervals, ectopic beats included."""
    samples = strap(seed, 0.5)
    rates = [s.value for s in samples if s.quantity == "heart_rate" and s.value is not None]
    intervals = [s.value for s in samples if s.quantity == "rr_interval" and s.value is not None]

    assert statistics.mean(rates) == pytest.approx(60_000 / statistics.mean(intervals), rel=0.03)


def test_ectopic_beat_is_made_up_for() -> None:
    """
    An early beat is followed by a pause, so that both intervals together have the length
    of two.
    """
    seed = next(s for s in map(str, range(100)) if traits_of(s).ectopic_share == 0.03)
    beats = [s.value for s in strap(seed, 0.5, start_h=12) if s.quantity == "rr_interval"]
    values = [value for value in beats if value is not None]
    usual = statistics.median(values)
    early = [i for i, value in enumerate(values[1:-1], 1) if value < 0.75 * values[i - 1]]
    pauses = [values[i + 1] for i in early]

    assert len(early) > 20
    assert statistics.mean(pauses) > 1.2 * usual


def test_night_is_slower_than_day() -> None:
    """The heart rate is lowest during sleep."""
    traits, calendar = traits_of("1/1"), Calendar("1/1")

    def mean_rate(hours: range) -> float:
        times = [h * HOUR_MS + m * 60_000 for h in hours for m in range(0, 60, 5)]
        return statistics.mean(heart.rate_bpm(t, traits, calendar.days_near(t)) for t in times)

    assert mean_rate(range(1, 5)) < mean_rate(range(10, 14)) - 5


def test_exercise_raises_the_rate_and_rest_lowers_it() -> None:
    """Exercise raises the heart rate by a share of the reserve, and it recovers within minutes."""
    seed, day = next(
        (s, day_of(s, 0)) for s in SEEDS if day_of(s, 0).exercise and not day_of(s, 0).meals[3:]
    )
    bout = day.exercise
    assert bout is not None
    traits, calendar = traits_of(seed), Calendar(seed)
    before, during, after = (
        heart.rate_bpm(t, traits, calendar.days_near(t))
        for t in (bout.from_ms - 60_000, bout.until_ms - 1_000, bout.until_ms + 1_800_000)
    )

    assert during > before + 0.6 * bout.intensity * (traits.maximal_bpm - traits.resting_bpm)
    assert after < during - 20


def test_meal_raises_glucose() -> None:
    """An hour after breakfast glucose is higher than before."""
    higher = 0
    for seed in SEEDS:
        traits, calendar = traits_of(seed), Calendar(seed)
        meal = day_of(seed, 0).meals[1]
        before, after = (
            glucose.glucose_mmol_l(t, traits, calendar.days_near(t))
            for t in (meal.at_ms, meal.at_ms + HOUR_MS)
        )
        higher += after > before + 1

    assert higher >= len(SEEDS) - 1


def test_low_of_a_day_is_low() -> None:
    """On a day with hypoglycaemia glucose falls below 3.9 mmol/L."""
    seed, low_ms = next(
        (seed, low)
        for seed in SEEDS
        for n in range(9)
        if (low := day_of(seed, n).hypoglycaemia_ms)
    )
    traits, calendar = traits_of(seed), Calendar(seed)

    assert glucose.glucose_mmol_l(low_ms, traits, calendar.days_near(low_ms)) < 3.9


def test_dawn_raises_glucose() -> None:
    """Before breakfast glucose is higher than in the middle of the night, on average."""
    rises = []
    for n, seed in itertools.product(range(5), SEEDS):
        traits, calendar = traits_of(seed), Calendar(seed)
        at_three, at_six = (
            glucose.glucose_mmol_l(t, traits, calendar.days_near(t))
            for t in (n * DAY_MS + 3 * HOUR_MS, n * DAY_MS + 6 * HOUR_MS)
        )
        rises.append(at_six - at_three)

    assert statistics.mean(rises) > 0.5


def test_new_sensor_warms_up() -> None:
    """In the first hour a sensor reports warm-up, and so does the next one ten days later."""
    samples = cgm("1/1", 10.1, age_ms=0)
    warming = [s.offset_ms for s in samples if s.fault is SampleFault.WARM_UP]

    assert warming[0] == 0
    assert sum(offset < HOUR_MS for offset in warming) >= 1
    assert all(offset % glucose.LIFE_MS < HOUR_MS for offset in warming)
    assert any(offset >= glucose.LIFE_MS for offset in warming)


def test_sensor_fails_like_a_real_one() -> None:
    """Over weeks a CGM sensor has gaps and faults, and some reach the end of the range."""
    faults = {s.fault for seed in SEEDS for s in cgm(seed, 30)}
    offsets = [s.offset_ms for s in cgm("1/1", 30)]
    gaps = [b - a for a, b in itertools.pairwise(offsets)]

    assert {SampleFault.SENSOR_FAULT, SampleFault.WARM_UP, SampleFault.SATURATED} <= faults
    assert max(gaps) > glucose.STEP_MS


def test_lost_contact_has_neither_rate_nor_interval() -> None:
    """A strap without skin contact reports neither rate nor intervals."""
    samples = strap("1/2", 12)
    lost = [s.offset_ms for s in samples if s.fault is SampleFault.OFF_BODY]
    beats = {s.offset_ms // 1000 for s in samples if s.quantity == "rr_interval"}

    assert lost
    assert not any(offset // 1000 - 1 in beats for offset in lost[1:-1] if offset - 1000 in lost)


@settings(max_examples=30)
@given(st.text(max_size=8), st.integers(0, 400))
def test_any_seed_and_day_give_a_day(seed: str, number: int) -> None:
    """For any seed and day a person wakes before they sleep."""
    day = day_of(seed, number)

    assert number * DAY_MS <= day.wakes_ms < day.sleeps_ms
