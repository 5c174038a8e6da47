"""
Panels as values: what is asked, in which unit, and what an empty one says.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; every line has one of
its own and a name beside it, so that nothing is told by colour alone.
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
    """How a panel shows what it found."""

    STAT = "stat"
    """One number, the last."""
    LINES = "timeseries"
    """Lines over time."""
    BARS = "bargauge"
    """One bar for each value of a label, longest first."""
    TABLE = "table"
    """Rows."""


class Query(msgspec.Struct, frozen=True):
    """One PromQL expression, and how its line is called."""

    expr: str
    legend: str = ""


class Sql(msgspec.Struct, frozen=True):
    """One SQL statement, run as `vv_grafana`; its first column is `time` when it makes lines."""

    text: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """
    One panel.

    Args:
        title: What it is about.

        text: What it means, and what to do about it, for whoever sees it the first time.

        unit: Grafana's name of the unit.

        queries: What is asked; the first colour of the palette is the first query's.

        empty: Shown when there is nothing: what that means.

        warn_at: From here on it is worth a look.

        bad_at: From here on something is wrong.

        words: Values that have a word and a colour: `("0", "away", RED)`.
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
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


class Board(msgspec.Struct, frozen=True):
    """One dashboard."""

    uid: str
    title: str
    text: str
    rows: tuple[Row, ...]
    since: str = "now-3h"
    refresh: str = "30s"
