"""
T1D-UOM: glucose and wrist heart rate of people with type 1 diabetes in daily life.

The README of the data says MM/DD/YYYY, but the files hold DD/MM/YYYY in British local time. A
heart rate of 0 means that the watch is off the wrist. Some sensors stop at 22.2 or 27.8 mmol/L:
such a value means "at least", and is not a measurement.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.clocks import DateOrder, stamp_of
from recordings.parsing.fields import number
from recordings.parsing.uk_clock import UkClock
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason, in_order

KIND: Final = "t1d_uom"
_GLUCOSE_NAME: Final = re.compile(r"UoMGlucose(\d+)\.csv")
_HEART_RATE_NAME: Final = re.compile(r"UoMsleep(\d+)\.csv")
_DATE: Final = re.compile(r"\d{2}/\d{2}/\d{4} \d{1,2}:\d{2}", re.ASCII)
_SATURATED: Final = frozenset({22.2, 27.8})
_SampleOf = Callable[[int, float], Sample | None]


def person_of(name: str) -> str | None:
    """Return the number of the person in the file name *name*, or None."""
    match = _GLUCOSE_NAME.fullmatch(name) or _HEART_RATE_NAME.fullmatch(name)
    return match[1] if match else None


def is_glucose(name: str, head: str) -> bool:
    """Tell whether a file holds glucose."""
    return _GLUCOSE_NAME.fullmatch(name) is not None and head.startswith("bg_ts,value")


def is_heart_rate(name: str, head: str) -> bool:
    """Tell whether a file holds heart rates: these came with the sleep data."""
    return _HEART_RATE_NAME.fullmatch(name) is not None and head.startswith("sleep_ts,")


def parse_glucose(
    lines: Iterable[str], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """Return the samples of a glucose file; count every row in *tally*."""
    # The heading has no unit; the publisher's description of the data does.
    tally.say_unit("mmol/L")
    return in_order(list(_parse(lines, tally, "value", _glucose)), tally)


def parse_heart_rate(
    lines: Iterable[str], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """Return the heart rates of a sleep file; count every row in *tally*."""
    tally.say_unit("/min")
    return in_order(list(_parse(lines, tally, "heart_rate", _heart_rate)), tally)


def _glucose(at_ms: int, value: float) -> Sample | None:
    if value in _SATURATED:
        return Sample(at_ms, "glucose_interstitial", None, SampleFault.SATURATED)
    return Sample(at_ms, "glucose_interstitial", value) if value > 0 else None


def _heart_rate(at_ms: int, value: float) -> Sample | None:
    if value == 0:
        return Sample(at_ms, "heart_rate", None, SampleFault.OFF_BODY)
    return Sample(at_ms, "heart_rate", value) if value > 0 else None


def _parse(
    lines: Iterable[str], tally: ParseTally, column: str, sample_of: _SampleOf
) -> Iterator[Sample]:
    clock = UkClock()
    tally.zone = "Europe/London"
    tally.date_order = DateOrder.DAY_FIRST
    place: int | None = None
    for line_number, line in enumerate(lines, start=1):
        fields = line.strip().split(",")
        if place is None:
            if column in fields:
                place = fields.index(column)
            tally.passed_over += 1
            continue
        if fields == [""]:
            continue
        tally.row()
        if len(fields) <= place:
            tally.reject(Reason.UNREADABLE, line_number)
            continue
        at_ms = _instant_ms(fields[0], clock)
        if at_ms is None:
            tally.reject(Reason.BAD_TIME, line_number)
            continue
        if not fields[place]:
            tally.reject(Reason.NO_VALUE, line_number)
            continue
        value = number(fields[place])
        sample = sample_of(at_ms, value) if value is not None else None
        if sample is None:
            tally.reject(Reason.BAD_NUMBER, line_number)
            continue
        yield sample


def _instant_ms(text: str, clock: UkClock) -> int | None:
    stamp = stamp_of(text) if _DATE.fullmatch(text) else None
    wall = stamp.wall_ms(DateOrder.DAY_FIRST) if stamp is not None else None
    return None if wall is None else clock.instant_ms(wall)
