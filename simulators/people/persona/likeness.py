"""
The figures by which recorded and invented people are compared. Pure.

A series stands on a regular grid, with NaN where there is no value. Each set of figures is of one
person; a group is described by its least and its greatest figures.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from recordings.sample import Sample

Series = NDArray[np.float64]

_QUANTILES: Final = (1, 5, 25, 50, 75, 95, 99)
_DAY_MS: Final = 86_400_000
_WORN: Final = 0.5
"""A day counts as worn if at least this share of its grid has values."""
_EARLY: Final = 0.2
"""An interval counts as ectopic if it differs from the median around it by more than this
share."""


class LikenessFigures(msgspec.Struct, frozen=True):
    """
    The figures of one person and one quantity, by name; in the unit of the quantity,
    or shares.
    """

    values: dict[str, float]
    autocorrelation: dict[int, float]
    """By lag: minutes on a grid, beats for intervals."""


def on_grid(samples: Iterable[Sample], quantity: str, *, step_ms: int) -> Series:
    """
    Return the values of *quantity* as a vector on a grid of *step_ms*; of two in one step, the
    later.
    """
    found = {
        round(sample.offset_ms / step_ms): sample.value
        for sample in samples
        if sample.quantity == quantity and sample.value is not None
    }
    if not found:
        return np.zeros(0)
    first, last = min(found), max(found)
    series = np.full(last - first + 1, math.nan)
    for place, value in found.items():
        series[place - first] = value
    return series


def figures_of(series: Series, *, step_ms: int, lags_min: Sequence[int]) -> LikenessFigures:
    """Return quantiles, mean, deviation, missing share and autocorrelations of *series*."""
    present = series[~np.isnan(series)]
    values = {f"q{q:02d}": float(np.percentile(present, q)) for q in _QUANTILES}
    values["mean"] = float(present.mean())
    values["sd"] = float(present.std())
    changes = np.diff(series)
    values["sd of change"] = float(np.nanstd(changes))
    values["missing"] = missing_share(series, step_ms=step_ms)
    return LikenessFigures(
        values,
        {lag: autocorrelation(series, round(lag * 60_000 / step_ms)) for lag in lags_min},
    )


def autocorrelation(series: Series, lag: int) -> float:
    """
    Return the correlation of *series* with itself *lag* steps later, or NaN if it is
    undefined.
    """
    if not 0 < lag < len(series):
        return math.nan
    one, other = series[:-lag], series[lag:]
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < 2 or not one[both].std() or not other[both].std():
        return math.nan
    return float(np.corrcoef(one[both], other[both])[0, 1])


def missing_share(series: Series, *, step_ms: int) -> float:
    """Return the share of missing values on days on which the sensor was worn, or NaN."""
    a_day = max(1, round(_DAY_MS / step_ms))
    days = [series[start : start + a_day] for start in range(0, len(series), a_day)]
    worn = [day for day in days if (~np.isnan(day)).mean() >= _WORN]
    return float(np.isnan(np.concatenate(worn)).mean()) if worn else math.nan


def interval_figures(intervals_ms: Sequence[float]) -> LikenessFigures:
    """
    Return mean, SDNN, RMSSD and the share of ectopic beats (Task Force of the ESC and NASPE,
    1996).
    """
    series = np.array(intervals_ms, dtype=np.float64)
    changes = np.diff(series)
    neighbours = np.median(np.lib.stride_tricks.sliding_window_view(series, 11), axis=1)
    ectopic = np.abs(series[5:-5] / neighbours - 1) > _EARLY
    return LikenessFigures(
        {
            "mean": float(series.mean()),
            "SDNN": float(series.std()),
            "RMSSD": float(np.sqrt((changes**2).mean())),
            "ectopic": float(ectopic.mean()),
        },
        {lag: autocorrelation(series, lag) for lag in (1, 2, 5, 20)},
    )


def span(people: Sequence[LikenessFigures]) -> Mapping[str, tuple[float, float]]:
    """Return the least and the greatest value of each figure over *people*."""
    found: dict[str, tuple[float, float]] = {}
    for name in people[0].values:
        each = [person.values[name] for person in people]
        found[name] = (min(each), max(each))
    return found
