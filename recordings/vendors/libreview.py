"""
LibreView: the CSV export of a FreeStyle Libre sensor, in mg/dL or mmol/L, in several languages.

One or two lines with clinic and person precede the heading. Account settings choose the order of
dates, the clock and the decimal sign, each apart from the others and from the language. The
record type is not used, because exports disagree about it; the column that is filled tells what
was measured. Scans follow the whole history. Strips, ketones, insulin and food are skipped.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from recordings.errors import FileReason, FileRefused
from recordings.glucose import INTERSTITIAL
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.table import Row, Title, has_form, place_of, rows, titles
from recordings.parsing.text import TextLines
from recordings.sample import Sample
from recordings.tally import ParseTally, Reason
from recordings.vendors.local_readings import LocalReadings, columns_of

KIND: Final = "libreview"
_ABOVE: Final = 3
"""The most lines above the heading."""


class _Names(msgspec.Struct, frozen=True):
    """The headings of a language."""

    language: str
    times: tuple[str, ...]
    kind: str
    historic: str
    scans: tuple[str, ...]
    serial: str


_LANGUAGES: Final = (
    _Names(
        "en",
        ("device timestamp", "meter timestamp"),
        "record type",
        "historic glucose",
        ("scan glucose",),
        "serial number",
    ),
    _Names(
        "de",
        ("gerätezeitstempel",),
        "aufzeichnungstyp",
        "glukosewert-verlauf",
        ("glukose-scan",),
        "seriennummer",
    ),
    _Names(
        "fr",
        ("horodatage de l'appareil",),
        "type d'enregistrement",
        "historique de la glycémie",
        ("numérisation de la glycémie", "scan de glycémie"),
        "numéro de série",
    ),
)


class _Layout(msgspec.Struct, frozen=True):
    """Where the fields of a table are."""

    delimiter: str
    language: str
    width: int
    time: int
    serial: int | None
    values: tuple[int, ...]
    units: tuple[str | None, ...]


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is a LibreView export."""
    return any(_layout(line) is not None for line in head.split("\n")[: _ABOVE + 1])


def parse(
    lines: TextLines | Iterable[str], tally: ParseTally, options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the samples of the lines of an export in the order of time; count rows in *tally*.

    Raises:
        FileRefused: The unit or the order of dates is not told.
    """
    numbered = iter(enumerate(lines, start=1))
    written = (0, "")
    for number, line in numbered:
        layout = _layout(line)
        tally.passed_over += 1
        if layout is not None:
            break
        if number == 1:
            written = number, line
    else:
        return []
    readings = _readings(layout, number, options, tally)
    readings.note_written(written[1], written[0])
    for row in rows(numbered, layout.delimiter):
        _add(row, layout, readings, tally)
    return readings.samples()


def _readings(
    layout: _Layout, line: int, options: ReadOptions, tally: ParseTally
) -> LocalReadings:
    units = [unit for unit in layout.units if unit is not None]
    if len(units) < len(layout.units):
        raise FileRefused(FileReason.UNIT_NOT_SAID, line=line)
    tally.language = layout.language
    for unit in units:
        tally.say_unit(unit)
    return LocalReadings(columns_of(units, [INTERSTITIAL] * len(units)), options, tally)


def _add(row: Row, layout: _Layout, readings: LocalReadings, tally: ParseTally) -> None:
    if not has_form(row, layout.width, layout.values):
        tally.row()
        tally.reject(Reason.UNREADABLE, row.line)
        return
    fields = row.fields or []
    filled = [n for n, place in enumerate(layout.values) if fields[place].strip()]
    if not filled:
        tally.passed_over += 1
    device = fields[layout.serial] if layout.serial is not None else ""
    for column in filled:
        readings.add(row.line, fields[layout.time], fields[layout.values[column]], column, device)


def _layout(line: str) -> _Layout | None:
    """Return where the fields are, if *line* is a heading."""
    delimiter, columns = titles(line)
    for names in _LANGUAGES:
        time = _first(columns, names.times)
        historic = place_of(columns, names.historic)
        scan = _first(columns, names.scans)
        if None not in (time, historic, scan, place_of(columns, names.kind)):
            values = (historic or 0, scan or 0)
            return _Layout(
                delimiter,
                names.language,
                len(columns),
                time or 0,
                place_of(columns, names.serial),
                values,
                tuple(columns[place].unit for place in values),
            )
    return None


def _first(columns: Sequence[Title], names: Sequence[str]) -> int | None:
    places = (place_of(columns, name) for name in names)
    return next((place for place in places if place is not None), None)
