"""Conversion of samples to the values that sensors send."""

import itertools

import pytest

from edge_agent.gatt import cgm, glucose, heart_rate, pulse_oximeter
from edge_agent.gatt.cgm import Annunciation
from edge_agent.gatt.glucose_context import Meal
from edge_agent.gatt.heart_rate import HeartRateMeasurement
from edge_agent.gatt.ieee11073 import decimal_of
from edge_agent.gatt.meaning import Observation
from recordings.sample import Sample, SampleFault
from simulators.people.persona.day import DAY_MS, HOUR_MS
from simulators.people.persona.oxygen import Saturation, saturations
from simulators.people.persona.strips import Fingerstick, Moment, fingersticks
from simulators.sensor.signals import (
    OFF_BODY,
    OFF_FINGER,
    WARMING_UP,
    Reading,
    Strip,
    heart_rates,
    oximetry,
    readings,
    strips,
)


def test_a_rate_comes_with_the_intervals_before_it() -> None:
    """A strap sends its rate with the intervals since the last value, in units of 1/1024 s."""
    samples = [
        Sample(500, "rr_interval", 500.0),
        Sample(1000, "heart_rate", 119.6),
        Sample(1500, "rr_interval", 1000.0),
        Sample(2000, "rr_interval", 750.0),
        Sample(2000, "heart_rate", 80.0),
        Sample(3000, "heart_rate", 81.0),
    ]

    assert list(heart_rates(samples, has_rates=True)) == [
        HeartRateMeasurement(120, True, None, (512,)),
        HeartRateMeasurement(80, True, None, (1024, 768)),
        HeartRateMeasurement(81, True, None, ()),
    ]


def test_lost_contact_is_no_rate() -> None:
    """Without skin contact a strap sends 0 with the flag for it, and drops earlier intervals."""
    samples = [
        Sample(500, "rr_interval", 500.0),
        Sample(1000, "heart_rate", None, SampleFault.OFF_BODY),
        Sample(2000, "heart_rate", 60.0),
    ]

    assert list(heart_rates(samples, has_rates=True)) == [
        OFF_BODY,
        HeartRateMeasurement(60, True, None, ()),
    ]


def test_intervals_alone_make_a_rate_each_second() -> None:
    """A recording with only intervals gives about one value a second, as a strap does."""
    samples = [Sample(600 * n, "rr_interval", 600.0) for n in range(1, 5)]

    rates = list(heart_rates(samples, has_rates=False))

    assert [rate.heart_rate_bpm for rate in rates] == [100, 100]
    assert [len(rate.rr_intervals) for rate in rates] == [2, 2]


def test_a_value_fits_into_the_smallest_notification() -> None:
    """A value has at most 20 bytes, however many intervals there are."""
    samples = [Sample(n, "rr_interval", 300.0) for n in range(50)]

    [measured] = heart_rates([*samples, Sample(60, "heart_rate", 290.0)], has_rates=True)

    assert len(heart_rate.encode(measured)) <= 20


def glucose_at(minute: int, value: float | None, fault: SampleFault | None = None) -> Sample:
    """Return a sample of a CGM sensor."""
    return Sample(minute * 60_000, "glucose_interstitial", value, fault)


def test_a_reading_has_its_trend() -> None:
    """A reading has a trend: the change since the last value, per minute."""
    [first, second] = [r for _, r in readings([glucose_at(0, 6.0), glucose_at(5, 6.5)])]

    assert first == Reading(6.0)
    assert second.trend_mmol_per_l_min == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "fault", "expected"),
    [
        (6.0, SampleFault.WARM_UP, WARMING_UP),
        (3.0, SampleFault.SATURATED, Reading(2.2, Annunciation.RESULT_TOO_LOW)),
        (20.0, SampleFault.SATURATED, Reading(22.2, Annunciation.RESULT_TOO_HIGH)),
        (6.0, SampleFault.SENSOR_FAULT, Reading(8.0, Annunciation.SENSOR_MALFUNCTION)),
    ],
)
def test_a_fault_is_shown_as_sensors_show_it(
    before: float, fault: SampleFault, expected: Reading
) -> None:
    """A fault is sent as a number with an annunciation that says that it is not valid."""
    shown = dict(readings([glucose_at(0, before), glucose_at(5, None, fault)]))

    assert shown[300_000] == expected


def test_no_fault_of_a_cgm_sensor_is_an_observation() -> None:
    """The agent refuses every fault that the simulated CGM sensor sends."""
    faults = [SampleFault.WARM_UP, SampleFault.SATURATED, SampleFault.SENSOR_FAULT]

    for _, reading in readings([glucose_at(n, None, fault) for n, fault in enumerate(faults)]):
        record = cgm.CgmRecord(
            concentration_mg_dl=decimal_of(reading.mmol_per_l * 18),
            time_offset_min=0,
            status=reading.annunciation & 0xFF,
            warning=reading.annunciation >> 16,
        )
        outcomes = cgm.observations(cgm.CgmMeasurement((record,)))
        assert not any(isinstance(outcome, Observation) for outcome in outcomes)


def test_a_strip_has_its_meal() -> None:
    """A strip's moment of the day is a meal in its context; too little blood is a status."""
    sticks = [
        Fingerstick(0, Moment.FASTING, 5.5),
        Fingerstick(1, Moment.BEDTIME, None),
    ]

    assert list(strips(sticks)) == [
        (0, Strip(5.5, Meal.FASTING)),
        (1, Strip(None, Meal.BEDTIME, glucose.GlucoseStatus.SAMPLE_TOO_SMALL)),
    ]


def test_no_finger_is_no_saturation() -> None:
    """The agent refuses the values of a simulated oximeter without a finger."""
    [on, off] = oximetry([Saturation(97.0, 61.0), Saturation(None, 61.0)])

    assert all(isinstance(o, Observation) for o in pulse_oximeter.observations(on))
    assert off is OFF_FINGER
    assert not any(isinstance(o, Observation) for o in pulse_oximeter.observations(off))


@pytest.mark.parametrize("seed", ["1/1", "1/2", "1/3"])
def test_invented_strips_follow_the_day(seed: str) -> None:
    """An invented person measures three to eight times a day, in order, with plausible values."""
    ten_days = list(
        itertools.takewhile(
            lambda stick: stick.offset_ms < 10 * DAY_MS, fingersticks(seed, start_ms=7 * HOUR_MS)
        )
    )

    offsets = [stick.offset_ms for stick in ten_days]
    assert offsets == sorted(offsets)
    assert 30 <= len(ten_days) <= 80
    assert all(1 < s.mmol_per_l < 33 for s in ten_days if s.mmol_per_l is not None)
    assert {stick.moment for stick in ten_days} == set(Moment)


@pytest.mark.parametrize("seed", ["1/1", "1/2", "1/3"])
def test_invented_oxygen_is_plausible(seed: str) -> None:
    """
    An invented person has a saturation of 90 to 100 %, and takes the finger out from
    time to time.
    """
    hours = list(itertools.islice(saturations(seed, start_ms=7 * HOUR_MS), 4 * 3600))

    values = [s.spo2_percent for s in hours if s.spo2_percent is not None]
    assert all(90 <= value <= 100 for value in values)
    assert 0 < len(hours) - len(values) < len(hours) / 10
    assert hours == list(itertools.islice(saturations(seed, start_ms=7 * HOUR_MS), 4 * 3600))
