"""
Panels as values: queries, units, and the text of an empty panel.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; every line also has a
name, so that colour is never the only difference.
"""

import enum
from typing import Final

import msgspec

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
ORANGE: Final = "#E69F00"
RED: Final = "#D55E00"
PINK: Final = "#CC79A7"
GREY: Final = "#999999"
PALETTE: Final = (BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW, GREY)

PROMETHEUS: Final = "vitalveil-prometheus"
POSTGRES: Final = "vitalveil-postgres"


class Kind(enum.StrEnum):
    """How a panel shows its result."""

    STAT = "stat"
    """The last value, as a number."""
    LINES = "timeseries"
    """Lines over time."""
    BARS = "bargauge"
    """One bar for each value of a label, the longest first."""
    TABLE = "table"
    """Rows."""


class Query(msgspec.Struct, frozen=True):
    """A PromQL expression, and the name of its line."""

    expr: str
    legend: str = ""


class Sql(msgspec.Struct, frozen=True):
    """A SQL statement, run as `vv_grafana`; for lines, its first column is `time`."""

    text: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """
    A panel.

    Args:
        title: What it shows.

        text: What it means and what to do about it, for a reader who sees it for the first
            time.

        unit: Grafana's name of the unit.

        queries: The queries; the first has the first colour of the palette.

        empty: The text of an empty panel: what it means that there is no data.

        warn_at: The value from which on it needs attention.

        bad_at: The value from which on something is wrong.

        words: Values that are shown as a word in a colour: `("0", "away", RED)`.
    """

    title: str
    text: str
    unit: str
    queries: tuple[Query | Sql, ...]
    empty: str
    kind: Kind = Kind.LINES
    width: int = 8
    height: int = 7
    decimals: int | None = None
    warn_at: float | None = None
    bad_at: float | None = None
    is_stacked: bool = False
    words: tuple[tuple[str, str, str], ...] = ()


class Row(msgspec.Struct, frozen=True):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


class Board(msgspec.Struct, frozen=True):
    """A dashboard."""

    uid: str
    title: str
    text: str
    rows: tuple[Row, ...]
    since: str = "now-3h"
    refresh: str = "30s"
