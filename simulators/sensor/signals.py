"""Converts the samples of a person to the values that their sensors send. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from edge_agent.gatt.cgm import Annunciation
from edge_agent.gatt.glucose import GlucoseStatus
from edge_agent.gatt.glucose_context import Meal
from edge_agent.gatt.heart_rate import HeartRateMeasurement
from edge_agent.gatt.ieee11073 import NotANumber, decimal_of
from edge_agent.gatt.pulse_oximeter import ContinuousOximetry, Oximetry, SensorStatus
from recordings.sample import Sample, SampleFault
from simulators.people.persona.oxygen import Saturation
from simulators.people.persona.strips import Fingerstick, Moment

_RR_UNITS_PER_S: Final = 1024
_MAX_RR: Final = 8
"""The most intervals in a notification of the smallest MTU, with a heart rate of two bytes."""
_LOWEST: Final = 2.2
_HIGHEST: Final = 22.2
_MIDDLE: Final = 8.0
_SECOND_MS: Final = 1000
_MEALS: Final = {
    Moment.FASTING: Meal.FASTING,
    Moment.BEFORE_MEAL: Meal.PREPRANDIAL,
    Moment.AFTER_MEAL: Meal.POSTPRANDIAL,
    Moment.BEDTIME: Meal.BEDTIME,
}


class Strip(msgspec.Struct, frozen=True):
    """A measurement with a test strip."""

    mmol_per_l: float | None
    """None when the meter could not measure."""
    meal: Meal | None = None
    """Where in relation to a meal; if given, the record has a context."""
    status: int = 0
    """Bits of `glucose.Status`."""


class Reading(msgspec.Struct, frozen=True):
    """What a CGM sensor reports at one moment."""

    mmol_per_l: float
    """mmol/L; 0 during warm-up."""
    annunciation: int = 0
    """Bits of `cgm.Annunciation`."""
    trend_mmol_per_l_min: float | None = None


WARMING_UP: Final = Reading(0.0)
OFF_FINGER: Final = ContinuousOximetry(
    normal=Oximetry(NotANumber.NAN, NotANumber.NAN),
    sensor_status=SensorStatus.UNCONNECTED_TO_USER,
)
OFF_BODY: Final = HeartRateMeasurement(0, sensor_contact=False)


def heart_rates(samples: Iterable[Sample], *, has_rates: bool) -> Iterator[HeartRateMeasurement]:
    """
    Yield a measurement for each sample of heart rate, with the RR intervals before it.

    Args:
        samples: Of one person; samples of other quantities are skipped.

        has_rates: Whether heart rates were recorded; if not, each second of intervals gives
            one.
    """
    intervals: list[float] = []
    for sample in samples:
        if sample.quantity == "rr_interval" and sample.value is not None:
            intervals.append(sample.value)
            if has_rates or sum(intervals) < _SECOND_MS:
                continue
            rate = 60_000 * len(intervals) / sum(intervals)
        elif sample.quantity == "heart_rate":
            if sample.value is None:
                intervals.clear()
                yield OFF_BODY
                continue
            rate = sample.value
        else:
            continue
        yield HeartRateMeasurement(
            round(rate), True, None, tuple(map(_rr_units, intervals[-_MAX_RR:]))
        )
        intervals.clear()


def _rr_units(interval_ms: float) -> int:
    return round(interval_ms * _RR_UNITS_PER_S / 1000)


def readings(samples: Iterable[Sample]) -> Iterator[tuple[int, Reading]]:
    """
    Yield the report of a CGM sensor for each sample, with its time in ms since the
    first one.
    """
    last: Sample | None = None
    for sample in samples:
        if sample.quantity != "glucose_interstitial":
            continue
        yield sample.offset_ms, _reading(sample, last)
        last = sample


def _reading(sample: Sample, last: Sample | None) -> Reading:
    if sample.value is None:
        return _faulty(sample.fault, last)
    trend = None
    if last is not None and last.value is not None and last.offset_ms < sample.offset_ms:
        trend = (sample.value - last.value) / ((sample.offset_ms - last.offset_ms) / 60_000)
    return Reading(sample.value, 0, trend)


def _faulty(fault: SampleFault | None, last: Sample | None) -> Reading:
    if fault is SampleFault.WARM_UP:
        return WARMING_UP
    if fault is SampleFault.SATURATED:
        if last is not None and last.value is not None and last.value < _MIDDLE:
            return Reading(_LOWEST, Annunciation.RESULT_TOO_LOW)
        return Reading(_HIGHEST, Annunciation.RESULT_TOO_HIGH)
    return Reading(_MIDDLE, Annunciation.SENSOR_MALFUNCTION)


def strips(fingersticks: Iterable[Fingerstick]) -> Iterator[tuple[int, Strip]]:
    """Yield the report of a meter for each of *fingersticks*, with its time."""
    for stick in fingersticks:
        meal = _MEALS[stick.moment]
        if stick.mmol_per_l is None:
            yield stick.offset_ms, Strip(None, meal, GlucoseStatus.SAMPLE_TOO_SMALL)
        else:
            yield stick.offset_ms, Strip(stick.mmol_per_l, meal)


def oximetry(saturations: Iterable[Saturation]) -> Iterator[ContinuousOximetry]:
    """Yield the report of an oximeter for each of *saturations*."""
    for saturation in saturations:
        if saturation.spo2_percent is None:
            yield OFF_FINGER
        else:
            yield ContinuousOximetry(
                normal=Oximetry(
                    decimal_of(saturation.spo2_percent), decimal_of(saturation.pulse_bpm)
                )
            )
