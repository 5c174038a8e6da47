"""
Rows of a delimited table: fields with quotes, notes with line breaks, headings in any language.

A quoted field may hold line breaks. A quote that never ends, or stands where none may stand,
spoils its own line only: the lines after it are read again as rows of their own.
"""

import csv
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

DELIMITERS: Final = ("\t", ";", ",")
_MAX_NOTE_LINES: Final = 200
_MAX_NOTE: Final = 65_536
_UNIT: Final = re.compile(r"\(?\s*(mg\s*/\s*dl|mmol\s*/\s*l)\s*\)?", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(r"\([^)]*\)")
_UNITS: Final = {"mg/dl": "mg/dL", "mmol/l": "mmol/L"}


class Row(msgspec.Struct, frozen=True):
    """A row of a table."""

    line: int
    """Where it begins, from 1."""
    fields: list[str] | None
    """None if the line cannot be split into fields."""


class Title(msgspec.Struct, frozen=True):
    """The heading of a column."""

    name: str
    """In lower case, without unit and brackets."""
    unit: str | None
    """"mg/dL", "mmol/L", or None for none or another one."""


def fields_of(line: str, delimiter: str) -> list[str] | None:
    """Return the fields of *line*, or None if its quotes are not balanced."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def rows(lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[Row]:
    """
    Yield the rows of *lines*; a blank line is none.

    Args:
        lines: Each with its number from 1, and without its end.

        delimiter: Between two fields.
    """
    waiting: deque[tuple[int, str]] = deque()
    source = iter(lines)
    while (first := _next(waiting, source)) is not None:
        number, line = first
        if not line.strip():
            continue
        fields = fields_of(line, delimiter) if "\0" not in line else None
        if fields is None and _is_open(line, delimiter):
            fields = _note(first, waiting, source, delimiter)
        yield Row(number, fields)


def _next(
    waiting: deque[tuple[int, str]], source: Iterator[tuple[int, str]]
) -> tuple[int, str] | None:
    return waiting.popleft() if waiting else next(source, None)


def _is_open(line: str, delimiter: str) -> bool:
    """Tell whether a quoted field of *line* goes on in the next one."""
    return "\0" not in line and fields_of(line + '"', delimiter) is not None


def _note(
    first: tuple[int, str],
    waiting: deque[tuple[int, str]],
    source: Iterator[tuple[int, str]],
    delimiter: str,
) -> list[str] | None:
    """
    Return the fields of the row that begins with *first* and goes on over further lines.

    If it does not end, its further lines are put back into *waiting*, and None is returned.
    """
    text = first[1]
    taken: list[tuple[int, str]] = []
    while len(taken) < _MAX_NOTE_LINES and len(text) <= _MAX_NOTE:
        further = _next(waiting, source)
        if further is None:
            break
        taken.append(further)
        text += "\n" + further[1]
        fields = _fields_over_lines(text, delimiter) if '"' in further[1] else None
        if fields is not None:
            return fields
        if '"' in further[1] and not _is_open_over_lines(text, delimiter):
            break
    waiting.extendleft(reversed(taken))
    return None


def _fields_over_lines(text: str, delimiter: str) -> list[str] | None:
    try:
        found = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def _is_open_over_lines(text: str, delimiter: str) -> bool:
    return "\0" not in text and _fields_over_lines(text + '"', delimiter) is not None


def has_form(row: Row, width: int, values: Sequence[int]) -> bool:
    """
    Tell whether *row* fits below a heading of *width* columns.

    A row with more fields was split at a decimal comma. A row with fewer may end in the middle of
    its last field, so that no value may stand there.
    """
    if row.fields is None or len(row.fields) > width:
        return False
    return len(row.fields) == width or len(row.fields) > max(values) + 1


def title(text: str) -> Title:
    """Return the heading *text*."""
    plain = unicodedata.normalize("NFC", text).replace("\u2019", "'").strip().strip("\ufeff")
    found = _UNIT.search(plain)
    # A rate (mg/dL/min) is another unit.
    is_rate = found is not None and plain[found.end(1) : found.end(1) + 1] == "/"
    unit = None
    if found is not None and not is_rate:
        unit = _UNITS["".join(found[1].lower().split())]
        plain = plain[: found.start()] + plain[found.end() :]
    name = " ".join(_IN_BRACKETS.sub("", plain).split()).casefold()
    return Title(name, unit)


def titles(line: str) -> tuple[str, list[Title]]:
    """Return the delimiter that gives a heading *line* the most columns, and these columns."""
    best: tuple[str, list[str]] = (",", [line])
    for delimiter in DELIMITERS:
        fields = fields_of(line, delimiter) or []
        if len(fields) > len(best[1]):
            best = delimiter, fields
    return best[0], [title(field) for field in best[1]]


def place_of(columns: Sequence[Title], name: str) -> int | None:
    """Return the index of the only column called *name*; None if there is none, or several."""
    places = [place for place, column in enumerate(columns) if column.name == name]
    return places[0] if len(places) == 1 else None
