"""Lines as an SVG that needs nothing else. Pure."""

import html
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

Line = tuple[str, Sequence[tuple[float, float]]]
"""A name and points."""

_WIDTH: Final = 860
_HEIGHT: Final = 240
_LEFT: Final = 64
_RIGHT: Final = 24
_TOP: Final = 24
_BOTTOM: Final = 30
_COLOURS: Final = ("#0b6e99", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c", "#334155")
_GRID: Final = "#e5e7eb"


def plot(
    lines: Sequence[Line],
    *,
    x: Callable[[float], str],
    y: Callable[[float], str],
    is_log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """
    Return *lines* as an SVG.

    Args:
        lines: What to draw, each in a colour of its own.

        x: Writes a place on the axis of x.

        y: Likewise of y.

        is_log: Whether y is drawn by its logarithm; what is not above 0 is then left out.

        marks: Places on x that have a name.
    """
    shown = [(name, [p for p in some if not is_log or p[1] > 0]) for name, some in lines]
    points = [p for _, some in shown for p in some]
    if not points:
        return "<p>Nothing to show.</p>"
    left, right = min(p[0] for p in points), max(p[0] for p in points)
    low, high = min(0.0, *(p[1] for p in points)), max(1e-9, *(p[1] for p in points))
    if is_log:
        low, high = _round_down(min(p[1] for p in points)), _round_up(high)

    def across(value: float) -> float:
        return _LEFT + (value - left) / max(right - left, 1e-9) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        from_low = math.log(value / low, high / low) if is_log else (value - low) / (high - low)
        return _HEIGHT - _BOTTOM - from_low * (_HEIGHT - _BOTTOM - _TOP - 10)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for value in _log_steps(low, high) if is_log else steps(low, high):
        parts.append(_across_all(up(value), y(value)))
    for value in steps(left, right):
        parts.append(_text(across(value), _HEIGHT - 8, x(value), "middle"))
    for value, name in marks:
        parts.append(_upright(across(value), name))
    for number, (name, some) in enumerate(shown):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in some)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"'
                     ' stroke-width="1.5"/>')  # fmt: skip
        parts.append(_text(_LEFT + 6 + number * 120, 12, name, "start", colour))
    return "".join([*parts, "</svg>"])


def steps(low: float, high: float) -> Iterator[float]:
    """Yield four to ten round numbers from *low* to *high*."""
    rough = max(high - low, 1e-9) / 8
    ten = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (ten, 2 * ten, 5 * ten, 10 * ten) if step >= rough * 0.999)
    place = math.ceil(low / step - 1e-9)
    while place * step <= high * (1 + 1e-9):
        yield round(place * step, 12)
        place += 1


def _round_down(value: float) -> float:
    """Return the greatest 1, 2 or 5 times a power of ten below *value*."""
    ten = 10.0 ** math.floor(math.log10(value))
    return max(f * ten for f in (0.5, 1, 2, 5) if f * ten < value)


def _round_up(value: float) -> float:
    ten = 10.0 ** math.floor(math.log10(value))
    return min(f * ten for f in (1, 2, 5, 10, 20) if f * ten > value)


def _log_steps(low: float, high: float) -> Iterator[float]:
    """Yield 1, 2, 5, 10 and so on; if that is too much to write, powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 4 else (1,)
    for decade in decades:
        steps_of = (f * 10.0**decade for f in factors)
        yield from (s for s in steps_of if low * 0.999 <= s <= high * 1.001)


def _across_all(at: float, label: str) -> str:
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"'
    return f'{line} stroke="{_GRID}"/>' + _text(_LEFT - 6, at + 4, label, "end")


def _upright(at: float, label: str) -> str:
    line = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"'
    return f'{line} stroke="#9ca3af" stroke-dasharray="3 3"/>' + _text(
        at + 3, _TOP + 8, label, "start"
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str | None = None) -> str:
    style = "" if colour is None else f' style="fill:{colour}"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>'
    )
