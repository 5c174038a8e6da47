"""
Tables for a terminal of any width: nothing is cut off.

A table that is too wide is wrapped at blanks. If its longest words do not fit either, each row is
shown as a block with one line for each column. Where the width is unknown, as in a file, a table
is as wide as its cells.
"""

import json
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

_GAP: Final = "  "
_NARROWEST: Final = 20
"""A block gives at least this many columns to the values, however narrow the terminal is."""


def format_table(rows: Sequence[Mapping[str, Any]], *, width: int | None = None) -> str:
    """
    Return *rows* as a text table with a header.

    Args:
        rows: The rows, all with the same keys.

        width: The columns of the terminal; None for a file or a pipe, where nothing is wrapped.
    """
    if not rows:
        return "none"
    names = list(rows[0])
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(_columns(line[n]) for line in cells) for n in range(len(names))]
    if width is None:
        return _as_table(cells, widths)
    fitted = _fit(cells, widths, width)
    return _as_blocks(cells, width) if fitted is None else _as_table(cells, fitted)


def _fit(cells: Sequence[Sequence[str]], widths: list[int], width: int) -> list[int] | None:
    """Return widths that fit into *width*, the widest columns narrowed; None if none do."""
    least = [
        max(_columns(word) for line in cells for word in (line[n].split() or [""]))
        for n in range(len(widths))
    ]
    found = list(widths)
    too_many = sum(found) + len(_GAP) * (len(found) - 1) - width
    while too_many > 0:
        widest = max(
            (n for n in range(len(found)) if found[n] > least[n]),
            key=lambda n: found[n],
            default=None,
        )
        if widest is None:
            return None
        found[widest] -= 1
        too_many -= 1
    return found


def _as_table(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    lines = []
    for line in cells:
        wrapped = [_wrap(cell, width) for cell, width in zip(line, widths, strict=True)]
        for n in range(max(map(len, wrapped))):
            parts = [cell[n] if n < len(cell) else "" for cell in wrapped]
            padded = map(_pad, parts, widths)
            lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def _as_blocks(cells: Sequence[Sequence[str]], width: int) -> str:
    head, *rows = cells
    label = max(map(_columns, head))
    room = max(width - label - len(_GAP), _NARROWEST)
    blocks = []
    for row in rows:
        lines = []
        for name, value in zip(head, row, strict=True):
            first, *more = _wrap(value, room)
            lines.append(f"{_pad(name, label)}{_GAP}{first}".rstrip())
            lines += [" " * label + _GAP + part for part in more]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _wrap(text: str, width: int) -> list[str]:
    if _columns(text) <= width:
        return [text]
    # `textwrap` counts characters: a line of wide ones gets half as many.
    room = width if _columns(text) == len(text) else max(width // 2, 1)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in ("W", "F"))
        for one in text
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    # A line break in a cell would look like a further row.
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
