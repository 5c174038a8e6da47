"""
Dexcom: the text export of a CGM, tab separated, in mg/dL or mmol/L as its heading says.

The file begins with the person's name and birthday, and contains alarms, calibrations and
exercise; only rows of type EGV (estimated glucose value) are measurements. An EGV that is marked
Low or High is beyond the range of the sensor, whatever number stands beside the mark.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from simulators.recordings.fields import ascending, row, wall_ms
from simulators.recordings.glucose_export import glucose_sample
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally, Reason

KIND: Final = "dexcom"
_TIME: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\S+)", re.ASCII)


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is a Dexcom export."""
    first = head.split("\n", 1)[0]
    return "\t" in first and "Event Subtype" in first and "Glucose Value (" in first


def parse(lines: Iterable[str], tally: ParseTally) -> Iterator[Sample]:
    """Yield the samples of the lines of an export; count every row in *tally*."""
    return ascending(_parse(lines, tally), tally)


def _parse(lines: Iterable[str], tally: ParseTally) -> Iterator[Sample]:
    columns: _Columns | None = None
    for line in lines:
        fields = row(line.rstrip("\r\n"), "\t")
        if columns is None:
            columns = _columns(fields or [])
            tally.passed_over += 1
            continue
        if fields is None or len(fields) <= columns.last:
            if line.strip():
                tally.rows += 1
                tally.reject(Reason.UNREADABLE)
            continue
        if fields[columns.event] != "EGV":
            tally.passed_over += 1
            continue
        tally.rows += 1
        at_ms = _instant_ms(fields[columns.time])
        if at_ms is None:
            tally.reject(Reason.BAD_TIME)
            continue
        # The mark has precedence over the number.
        text = fields[columns.mark].strip() or fields[columns.value]
        sample = glucose_sample(at_ms, text, in_mg_dl=columns.in_mg_dl)
        if sample is None:
            tally.reject(Reason.BAD_NUMBER if text.strip() else Reason.NO_VALUE)
            continue
        yield sample


class _Columns:
    """The positions of the fields."""

    def __init__(self, time: int, event: int, mark: int, value: int, *, in_mg_dl: bool) -> None:
        self.time = time
        self.event = event
        self.mark = mark
        self.value = value
        self.last = max(time, event, mark, value)
        self.in_mg_dl = in_mg_dl


def _columns(heading: list[str]) -> _Columns | None:
    places = {title.split(" (")[0]: place for place, title in enumerate(heading)}
    wanted = ("Timestamp", "Event Type", "Event Subtype", "Glucose Value")
    if not all(title in places for title in wanted):
        return None
    time, event, mark, value = (places[title] for title in wanted)
    return _Columns(time, event, mark, value, in_mg_dl="mg/dL" in heading[value])


def _instant_ms(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    return wall_ms(int(match[1]), int(match[2]), int(match[3]), match[4]) if match else None
