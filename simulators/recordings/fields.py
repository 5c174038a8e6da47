"""Fields of text files: rows, numbers and dates. A field is read strictly, or is None."""

import csv
import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Final

from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally, Reason

# Narrower than float(), which accepts "nan", "1_000" and digits of other scripts.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?", re.ASCII)
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?( ?[AP]M)?", re.ASCII)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def row(line: str, delimiter: str) -> list[str] | None:
    """Return the fields of *line*, or None if its quotes are not balanced."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def number(text: str) -> float | None:
    """Return *text* as a decimal number, or None."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def wall_ms(year: int, month: int, day: int, clock: str) -> int | None:
    """Return a date and a time of day in ms since 1970, as if the clock were UTC, or None."""
    match = _CLOCK.fullmatch(clock.strip())
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if match[4] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if "P" in match[4] else 0)
    try:
        instant = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None
    return (instant - _EPOCH) // dt.timedelta(milliseconds=1)


def ascending(samples: Iterable[Sample], tally: ParseTally) -> Iterator[Sample]:
    """Yield *samples* of one quantity in ascending order; count the others in *tally*."""
    last: Sample | None = None
    for sample in samples:
        if last is not None and sample.offset_ms <= last.offset_ms:
            if sample.offset_ms < last.offset_ms:
                tally.reject(Reason.NOT_ASCENDING)
            else:
                tally.reject(Reason.DUPLICATE if sample == last else Reason.CONFLICTING)
            continue
        last = sample
        yield sample
