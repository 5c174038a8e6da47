"""
A chart: lines, steps and bands over two axes, with a title and a description for screen readers.

The first children of the SVG are `title` and `desc`, which name and describe an image (SVG
Accessibility API Mappings 1.0, section 8). Series differ in dashes as well as in colour (WCAG 2.2,
success criterion 1.4.1).
"""

import html
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from charts.axis import Axis, LinearAxis, LogAxis

Point = tuple[float, float]
"""x and y; a point whose y is not finite leaves a gap."""

WIDTH: Final = 860
"""The usual width, in units of the picture; a label is 11 of them high, whatever the width."""
HEIGHT: Final = 240
_LEFT: Final = 64
_RIGHT: Final = 24
_TOP: Final = 24
_BOTTOM: Final = 30
_HEADROOM: Final = 10
_LEGEND_GAP: Final = 18
_LEGEND_HEIGHT: Final = 14
_LETTER: Final = 6.5
"""About how wide a letter is."""
_TITLE_HEIGHT: Final = 22
_GAP: Final = 8
_PENS: Final = (
    ("#0b6e99", ""), ("#c2410c", "6 3"), ("#15803d", "2 2"), ("#7e22ce", "8 3 2 3"),
    ("#a16207", "4 4"), ("#be123c", "10 4"), ("#334155", "1 3"),
)  # fmt: skip
"""Colour and dashes of each series in turn."""
_GRID: Final = "#e5e7eb"
_MARK: Final = "#9ca3af"
_FONT: Final = 'font-family="system-ui,sans-serif" font-size="11" fill="#4b5563"'
_NAMESPACE: Final = 'xmlns="http://www.w3.org/2000/svg"'


class Line(msgspec.Struct, frozen=True):
    """A value that was measured at points, joined by straight lines; x ascending."""

    name: str
    points: Sequence[Point]


class Steps(msgspec.Struct, frozen=True):
    """A value that holds from each point until the next one; x ascending."""

    name: str
    points: Sequence[Point]


class Band(msgspec.Struct, frozen=True):
    """A range of values, as a shaded area; x ascending."""

    name: str
    ranges: Sequence[tuple[float, float, float]]
    """x, and the least and the greatest y there."""


Series = Line | Steps | Band


def draw(  # noqa: PLR0913 - what is in a chart, by name
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    x: Callable[[float], str],
    y: Callable[[float], str],
    is_log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    width: int = WIDTH,
    has_zero: bool = True,
) -> str:
    """
    Return *series* as one SVG element, or a paragraph of HTML where there is nothing to draw.

    Args:
        series: What to draw, the first below the others.

        title: Names the chart to a screen reader. Is not drawn.

        description: Tells a screen reader what the axes are.

        x: Writes a label of the axis of x.

        y: Writes a label of the axis of y.

        is_log: Whether y is drawn by its logarithm; values that are not above 0 are left out.

        marks: Places on x that have a name, as vertical lines.

        width: Of the picture; as narrow as the screens where its labels should be readable.

        has_zero: Whether a linear axis of y reaches 0, so that heights can be compared.
    """
    shown = [(one, list(_runs(one, is_log=is_log))) for one in series]
    points = [point for _, runs in shown for run in runs for point in run]
    if not points:
        return "<p>There is nothing to show.</p>"
    legend = _legend([one.name for one in series], width)
    frame = _frame(
        points,
        is_log=is_log,
        has_zero=has_zero,
        width=width,
        rows=1 + max(row for _, row in legend),
    )
    parts = [
        f'<svg {_NAMESPACE} viewBox="0 0 {width} {HEIGHT}" role="img" {_FONT}>',
        f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>",
        *(_horizontal(frame.up(value), y(value), width) for value in frame.y.ticks()),
        *_places(frame, x),
        *(_vertical(frame.across(at), name, frame.top) for at, name in marks),
    ]
    for (one, runs), (at, row), (colour, dashes) in zip(
        shown, legend, itertools.cycle(_PENS), strict=False
    ):
        parts += [_drawn(one, frame.path(run), colour, dashes) for run in runs]
        parts.append(_label(at, 12 + row * _LEGEND_HEIGHT, one.name, "start", colour))
    return "".join([*parts, "</svg>"])


def stack(panels: Sequence[tuple[str, str]]) -> str:
    """
    Return several charts as one SVG, one below the other.

    Args:
        panels: A visible heading and the SVG of a chart, each from `draw`.
    """
    pitch = HEIGHT + _TITLE_HEIGHT + _GAP
    parts = [
        f'<svg {_NAMESPACE} viewBox="0 0 {WIDTH} {pitch * len(panels)}" {_FONT}>'
        '<rect width="100%" height="100%" fill="#fff"/>'
    ]
    for place, (heading, svg) in enumerate(panels):
        top = place * pitch
        parts.append(
            f'<text x="4" y="{top + 16}" font-weight="bold">{html.escape(heading)}</text>'
            f'<svg y="{top + _TITLE_HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            + svg.removeprefix(f"<svg {_NAMESPACE} ")
        )
    return "".join([*parts, "</svg>\n"])


class _Frame(msgspec.Struct, frozen=True):
    """Both axes, and where they lie in the picture."""

    x: Axis
    y: Axis
    width: int
    top: float
    """Below the legend."""

    def across(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (self.width - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self.y.share(value) * (HEIGHT - _BOTTOM - self.top - _HEADROOM)

    def path(self, run: Iterable[Point]) -> str:
        return " ".join(f"{self.across(a):.1f},{self.up(b):.1f}" for a, b in run)


def _frame(
    points: Sequence[Point], *, is_log: bool, has_zero: bool, width: int, rows: int
) -> _Frame:
    xs, ys = [a for a, _ in points], [b for _, b in points]
    if has_zero and not is_log:
        ys = [0.0, *ys]
    y: Axis = LogAxis(min(ys), max(ys)) if is_log else LinearAxis(min(ys), max(ys))
    top = _TOP + max(0, rows - 1) * _LEGEND_HEIGHT
    return _Frame(LinearAxis(min(xs), max(xs)), y, width, top)


def _legend(names: Sequence[str], width: int) -> list[tuple[float, int]]:
    """Return the place on x and the row of each of *names*, in as many rows as they need."""
    places: list[tuple[float, int]] = []
    at, row = float(_LEFT + 6), 0
    for name in names:
        length = len(name) * _LETTER + _LEGEND_GAP
        if places and at + length > width:
            at, row = float(_LEFT + 6), row + 1
        places.append((at, row))
        at += length
    return places


def _places(frame: _Frame, x: Callable[[float], str]) -> Iterator[str]:
    """Yield the labels of x, without those that would run into the one before."""
    free = 0.0
    for value in frame.x.ticks():
        text, at = x(value), frame.across(value)
        half = len(text) * _LETTER / 2
        if text and at - half >= free:
            free = at + half + _LETTER
            yield _label(min(at, frame.width - half), HEIGHT - 8, text, "middle")


def _runs(series: Series, *, is_log: bool) -> Iterator[list[Point]]:
    """Yield the outline of each part of *series* between two gaps."""
    if isinstance(series, Band):
        rows = [(at, (low, high)) for at, low, high in series.ranges]
    else:
        rows = [(at, (value, value)) for at, value in series.points]

    def is_drawn(row: tuple[float, tuple[float, float]]) -> bool:
        return all(math.isfinite(value) and (value > 0 or not is_log) for value in row[1])

    for drawn, group in itertools.groupby(rows, key=is_drawn):
        if drawn:
            run = list(group)
            # One point alone is drawn as a line to itself, of which the round ends make a dot.
            lows = [(at, low) for at, (low, _) in (run if len(run) > 1 else run * 2)]
            if isinstance(series, Band):
                yield lows + [(at, high) for at, (_, high) in reversed(run)]
            else:
                yield _stepped(lows) if isinstance(series, Steps) else lows


def _stepped(points: Sequence[Point]) -> list[Point]:
    """Return *points* with a corner before each change."""
    corners = [point for (_, held), (at, value) in itertools.pairwise(points)
               for point in ((at, held), (at, value))]  # fmt: skip
    return [points[0], *corners]


def _drawn(series: Series, path: str, colour: str, dashes: str) -> str:
    if isinstance(series, Band):
        return f'<polygon points="{path}" fill="{colour}" fill-opacity="0.15"/>'
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"'
        f' stroke-linecap="round"{dashed}/>'
    )


def _horizontal(at: float, label: str, width: int) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_GRID}"/>'
        + _label(_LEFT - 6, at + 4, label, "end")
    )


def _vertical(at: float, label: str, top: float) -> str:
    return (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{HEIGHT - _BOTTOM}"'
        f' stroke="{_MARK}" stroke-dasharray="3 3"/>' + _label(at + 3, top + 3, label, "start")
    )


def _label(x: float, y: float, text: str, anchor: str, colour: str | None = None) -> str:
    fill = "" if colour is None else f' fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{fill}>{html.escape(text)}</text>'
