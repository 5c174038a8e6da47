"""
Medtronic CareLink: the CSV export of a pump or a Guardian sensor, in mg/dL or mmol/L.

A file has sections, each with a divider of dashes and a heading of its own. `Sensor Glucose` is
interstitial; `BG Reading` is a finger stick, which the pump and the meter may both report. Other
columns (insulin, alerts, calibrations) are passed over.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from recordings.errors import FileReason, FileRefused
from recordings.glucose import CAPILLARY, INTERSTITIAL, GlucoseColumn
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.fields import Decimals
from recordings.parsing.table import Row, Title, has_form, place_of, rows, title, titles
from recordings.parsing.text import TextLines
from recordings.sample import Sample
from recordings.tally import ParseTally, Reason
from recordings.vendors.local_readings import LocalReadings

KIND: Final = "carelink"
_ABOVE: Final = 20
"""The most lines above the first heading."""
_DIVIDER: Final = "-------"
_COLUMNS: Final = (("sensor glucose", INTERSTITIAL), ("bg reading", CAPILLARY))


class _Layout(msgspec.Struct, frozen=True):
    """Where the fields of a section are."""

    width: int
    date: int
    time: int
    values: tuple[int, ...]
    units: tuple[str | None, ...]


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is a CareLink export."""
    return any(_layout(titles(line)[1]) is not None for line in head.split("\n")[: _ABOVE + 1])


def parse(
    lines: TextLines | Iterable[str], tally: ParseTally, options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the samples of the lines of an export in the order of time; count rows in *tally*.

    Raises:
        FileRefused: The unit or the order of dates is not told.
    """
    numbered = iter(enumerate(lines, start=1))
    layout, delimiter, heading_line = None, ",", 0
    for heading_line, line in numbered:  # noqa: B007 - told in a refusal below
        tally.passed_over += 1
        delimiter, columns = titles(line)
        layout = _layout(columns)
        if layout is not None:
            break
    if layout is None:
        return []
    tally.language = "en"
    readings = LocalReadings(_columns(layout, heading_line, tally), options, tally)
    for row in rows(numbered, delimiter):
        if row.fields is not None and row.fields[0].strip().casefold() == "index":
            further = _layout([title(field) for field in row.fields])
            if further is None or further.units != layout.units:
                raise FileRefused(FileReason.UNIT_NOT_SAID, line=row.line)
            layout = further
            tally.passed_over += 1
        else:
            _add(row, layout, readings, tally)
    return readings.samples()


def _columns(layout: _Layout, line: int, tally: ParseTally) -> list[GlucoseColumn]:
    decimals = Decimals()
    columns = []
    for (_, quantity), unit in zip(_COLUMNS, layout.units, strict=True):
        if unit is None:
            raise FileRefused(FileReason.UNIT_NOT_SAID, line=line)
        tally.say_unit(unit)
        columns.append(GlucoseColumn(unit, decimals, quantity=quantity))
    return columns


def _add(row: Row, layout: _Layout, readings: LocalReadings, tally: ParseTally) -> None:
    fields = row.fields
    if fields is not None and fields[0].startswith(_DIVIDER):
        tally.passed_over += 1
        return
    if fields is None or not has_form(row, layout.width, layout.values):
        tally.row()
        tally.reject(Reason.UNREADABLE, row.line)
        return
    filled = [n for n, place in enumerate(layout.values) if fields[place].strip()]
    if not filled:
        tally.passed_over += 1
    for column in filled:
        time = f"{fields[layout.date]} {fields[layout.time]}"
        readings.add(row.line, time, fields[layout.values[column]], column)


def _layout(columns: Sequence[Title]) -> _Layout | None:
    """Return where the fields are, if *columns* are a heading."""
    values = [place_of(columns, name) for name, _ in _COLUMNS]
    index, date, time = (place_of(columns, name) for name in ("index", "date", "time"))
    found = tuple(place for place in values if place is not None)
    if index is None or date is None or time is None or len(found) < len(_COLUMNS):
        return None
    return _Layout(len(columns), date, time, found, tuple(columns[place].unit for place in found))
