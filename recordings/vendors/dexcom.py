"""
Dexcom: the exports of Studio (tabs) and Clarity (commas or semicolons), in mg/dL or mmol/L.

The file begins with the person's name and birthday, and contains alarms, calibrations and
exercise; only rows with an estimated glucose value (EGV) are readings. An EGV that is marked Low
or High is beyond the range of the sensor, whatever number stands beside the mark. Times are local;
where a transmitter's own clock stands beside them, it gives the order of the rows.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from recordings.errors import FileReason, FileRefused
from recordings.glucose import INTERSTITIAL, is_beyond_range
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.fields import number as number_of
from recordings.parsing.table import Row, has_form, place_of, rows, titles
from recordings.parsing.text import TextLines
from recordings.sample import Sample
from recordings.tally import MAX_READINGS, ParseTally, Reason
from recordings.vendors.local_readings import LocalReadings, columns_of

KIND: Final = "dexcom"
LOW_AND_HIGH: Final = frozenset({39, 401})
"""Codes for below 40 and above 400 mg/dL, in files without words for these limits."""


class _Names(msgspec.Struct, frozen=True):
    """The headings and words of a language."""

    language: str
    time: str
    event: str
    subtype: str
    value: tuple[str, ...]
    egv: str
    transmitter_time: str
    transmitter: str


_LANGUAGES: Final = (
    _Names(
        "en",
        "timestamp",
        "event type",
        "event subtype",
        ("glucose value",),
        "EGV",
        "transmitter time",
        "transmitter id",
    ),
    _Names(
        "de",
        "zeitstempel",
        "ereignistyp",
        "ereignisuntertyp",
        ("glukosewert",),
        "EGW",
        "transmitterzeit",
        "transmitter-id",
    ),
    _Names(
        "fr",
        "horodatage",
        "type d'événement",
        "sous-type d'événement",
        ("valeur du glucose", "valeur de glucose", "valeur de glycémie"),
        "VGE",
        "heure du transmetteur",
        "id du transmetteur",
    ),
)
_EGV: Final = frozenset({"EGV", *(names.egv for names in _LANGUAGES)})
"""Some languages leave the English abbreviation."""


class _Layout(msgspec.Struct, frozen=True):
    """Where the fields of a table are."""

    delimiter: str
    language: str
    width: int
    time: int
    event: int
    mark: int
    value: int
    unit: str | None
    clock: tuple[int, int] | None
    """The columns of the transmitter and of its time, if there are both."""


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is a Dexcom export."""
    return _layout(head.split("\n", 1)[0]) is not None


def parse(
    lines: TextLines | Iterable[str], tally: ParseTally, options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the samples of the lines of an export in the order of time; count rows in *tally*.

    Raises:
        FileRefused: The unit or the order of dates is not told.
    """
    numbered = iter(enumerate(lines, start=1))
    layout = _layout(next(numbered, (1, ""))[1])
    if layout is None:
        raise FileRefused(FileReason.UNKNOWN_FORMAT, line=1)
    tally.passed_over += 1
    if layout.unit is None:
        raise FileRefused(FileReason.UNIT_NOT_SAID, line=1)
    tally.language = layout.language
    tally.say_unit(layout.unit)
    found: list[_Egv] = []
    for row in rows(numbered, layout.delimiter):
        if _is_reading(row, layout, tally):
            found.append(_egv(row, layout))
            if len(found) > MAX_READINGS:
                raise FileRefused(FileReason.TOO_LARGE, line=row.line)
    # A file that marks its limits in words writes numbers as numbers.
    codes = frozenset() if any(is_beyond_range(egv.text) for egv in found) else LOW_AND_HIGH
    readings = LocalReadings(columns_of([layout.unit], [INTERSTITIAL], codes), options, tally)
    for egv in sorted(found, key=lambda egv: (egv.device, egv.clock)):
        readings.add(egv.line, egv.time, egv.text, 0, egv.device)
    return readings.samples()


class _Egv(msgspec.Struct, frozen=True, gc=False):
    """A row with an estimated glucose value."""

    line: int
    device: str
    """The transmitter, or "" where its clock is not told."""
    clock: float
    """The transmitter's own time; the line where it is not told."""
    time: str
    text: str


def _is_reading(row: Row, layout: _Layout, tally: ParseTally) -> bool:
    """Tell whether *row* holds a reading; count it if it does not."""
    fields = row.fields
    places = (layout.time, layout.event, layout.mark, layout.value)
    if fields is None or not has_form(row, layout.width, places):
        tally.row()
        tally.reject(Reason.UNREADABLE, row.line)
        return False
    if fields[layout.event].strip() not in _EGV:
        tally.passed_over += 1
        return False
    return True


def _egv(row: Row, layout: _Layout) -> _Egv:
    fields = row.fields or []
    mark = fields[layout.mark].strip()
    # The mark has precedence over the number.
    text = mark if is_beyond_range(mark) else fields[layout.value]
    device, clock = "", float(row.line)
    if layout.clock is not None and len(fields) > max(layout.clock):
        named, told = fields[layout.clock[0]].strip(), number_of(fields[layout.clock[1]])
        if named and told is not None:
            device, clock = named, told
    return _Egv(row.line, device, clock, fields[layout.time], text)


def _layout(line: str) -> _Layout | None:
    """Return where the fields are, if *line* is a heading."""
    delimiter, columns = titles(line)
    for names in _LANGUAGES:
        values = [p for name in names.value if (p := place_of(columns, name)) is not None]
        time, event, mark = (
            place_of(columns, name) for name in (names.time, names.event, names.subtype)
        )
        if time is None or event is None or mark is None or len(values) != 1:
            continue
        transmitter = place_of(columns, names.transmitter)
        clock = place_of(columns, names.transmitter_time)
        return _Layout(
            delimiter,
            names.language,
            len(columns),
            time,
            event,
            mark,
            values[0],
            columns[values[0]].unit,
            (transmitter, clock) if transmitter is not None and clock is not None else None,
        )
    return None
