"""The figures by which personas and recordings are compared."""

import math

import numpy as np
import pytest

from recordings.sample import Sample, SampleFault
from simulators.people.persona import likeness


def test_grid_keeps_holes() -> None:
    """The grid has NaN where there is no value, also for faults."""
    samples = [
        Sample(0, "heart_rate", 60.0),
        Sample(1040, "heart_rate", 61.0),
        Sample(2000, "heart_rate", None, SampleFault.OFF_BODY),
        Sample(2000, "rr_interval", 900.0),
        Sample(3000, "heart_rate", 63.0),
    ]
    series = likeness.on_grid(samples, "heart_rate", step_ms=1000)
    assert series.tolist()[:2] == [60.0, 61.0]
    assert math.isnan(series[2])
    assert series[3] == 63.0


def test_autocorrelation_of_a_known_series() -> None:
    """The autocorrelation of a wave is 1 at its period and -1 at half of it."""
    wave = np.sin(np.arange(200) / 10 * math.tau)
    wave[7] = math.nan
    assert likeness.autocorrelation(wave, 10) == pytest.approx(1.0)
    assert likeness.autocorrelation(wave, 5) == pytest.approx(-1.0)


@pytest.mark.parametrize("series", [np.zeros(50), np.array([1.0, 2.0]), np.full(50, math.nan)])
def test_autocorrelation_of_nothing_is_no_number(series: likeness.Series) -> None:
    """A constant series has no autocorrelation, without a warning."""
    assert math.isnan(likeness.autocorrelation(series, 2))


def test_missing_counts_worn_days_only() -> None:
    """Missing values count only on days on which the sensor was worn."""
    day = np.ones(24)
    half_lost = day.copy()
    half_lost[:6] = math.nan
    series = np.concatenate([day, np.full(7 * 24, math.nan), half_lost])
    assert likeness.missing_share(series, step_ms=3_600_000) == pytest.approx(6 / 48)


def test_interval_figures_see_ectopy() -> None:
    """One early beat in a hundred counts as 1 % ectopic, and as 2 % with the pause after it."""
    intervals = [1000.0] * 100
    intervals[50:52] = [600.0, 1400.0]
    figures = likeness.interval_figures(intervals)
    assert figures.values["ectopic"] == pytest.approx(2 / 90)
    assert figures.values["mean"] == 1000.0


def test_span_is_least_and_greatest() -> None:
    """The span of a group is its least and its greatest figure."""
    people = [likeness.LikenessFigures({"mean": mean}, {}) for mean in (2.0, 1.0, 3.0)]
    assert likeness.span(people) == {"mean": (1.0, 3.0)}
