"""
LibreView: the CSV export of a flash glucose monitor, US dates, in mg/dL or mmol/L.

Two lines with clinic and person precede the heading. The record type is not used, because exports
disagree about it; the column that is filled tells what was measured. Strips, ketones, insulin and
food are skipped.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from simulators.recordings.fields import ascending, row, wall_ms
from simulators.recordings.glucose_export import glucose_sample
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally, Reason

KIND: Final = "libreview"
_TIME: Final = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2}) (\S+(?: [AP]M)?)", re.ASCII)
_HISTORIC: Final = "Historic Glucose"
_SCAN: Final = "Scan Glucose"


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is a LibreView export."""
    return any(_is_heading(line) for line in head.split("\n")[:4])


def _is_heading(line: str) -> bool:
    return "Timestamp," in line and _HISTORIC in line and _SCAN in line


def parse(lines: Iterable[str], tally: ParseTally) -> Iterator[Sample]:
    """Yield the samples of the lines of an export; count every row in *tally*."""
    return ascending(_parse(lines, tally), tally)


def _parse(lines: Iterable[str], tally: ParseTally) -> Iterator[Sample]:
    columns: list[int] | None = None
    in_mg_dl = True
    for line in lines:
        if columns is None:
            tally.passed_over += 1
            if _is_heading(line):
                columns = _columns(line.rstrip("\r\n").split(","))
                in_mg_dl = "mg/dL" in line
            continue
        fields = row(line.rstrip("\r\n"), ",")
        if fields is None or len(fields) <= max(columns):
            if line.strip():
                tally.rows += 1
                tally.reject(Reason.UNREADABLE)
            continue
        time, historic, scan = (fields[place].strip() for place in columns)
        text = historic or scan
        if not text:
            tally.passed_over += 1
            continue
        tally.rows += 1
        at_ms = _instant_ms(time)
        if at_ms is None:
            tally.reject(Reason.BAD_TIME)
            continue
        sample = glucose_sample(at_ms, text, in_mg_dl=in_mg_dl)
        if sample is None:
            tally.reject(Reason.BAD_NUMBER)
            continue
        yield sample


def _columns(heading: list[str]) -> list[int]:
    """Return the positions of the time, the historic and the scanned value."""
    return [
        next(place for place, title in enumerate(heading) if wanted in title)
        for wanted in ("Timestamp", _HISTORIC, _SCAN)
    ]


def _instant_ms(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year = int(match[3])
    return wall_ms(year + 2000 if year < 100 else year, int(match[1]), int(match[2]), match[4])
