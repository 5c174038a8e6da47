"""Formats results for printing: times and tables."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any


def format_instant(at: dt.datetime) -> str:
    """Return *at* as text in UTC, to the microsecond."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds")


def format_second(at: dt.datetime) -> str:
    """Return *at* as text in UTC, to the second."""
    return at.astimezone(dt.UTC).isoformat(timespec="seconds")


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return *rows* as a text table with a header; each column is as wide as its longest cell."""
    if not rows:
        return "none"
    names = list(rows[0])
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return value if isinstance(value, str) else json.dumps(value)
