"""Plots of the report: round numbers on the axes, and nothing outside of the picture."""

import re

import pytest

from simulators.charts import plot, steps


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 125, [0, 20, 40, 60, 80, 100, 120]),
        (0, 0.9, [0, 0.2, 0.4, 0.6, 0.8]),
        (-0.45, 5, [0, 1, 2, 3, 4, 5]),
        (0, 2000, [0, 500, 1000, 1500, 2000]),
    ],
)
def test_steps_are_round(low: float, high: float, expected: list[float]) -> None:
    """An axis has few numbers, and those that people count in."""
    assert list(steps(low, high)) == pytest.approx(expected)


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 1.0)],
        [(0.0, 0.107), (9.0, 0.179)],
        [(-1.0, 0.0), (1.0, 3000.0)],
        [(0.0, -0.2), (1.0, 1.0)],
    ],
)
def test_everything_is_in_the_picture(*, is_log: bool, points: list[tuple[float, float]]) -> None:
    """Lines stay inside of their frame, however narrow or wide the values are."""
    drawn = plot([("<a>", points)], x=str, y=str, is_log=is_log, marks=[(0.0, "phase & more")])
    assert "&lt;a&gt;" in drawn
    assert "phase &amp; more" in drawn
    (path,) = re.findall(r'polyline points="([^"]*)"', drawn)
    for x, y in (point.split(",") for point in path.split()):
        assert 0 <= float(x) <= 860
        assert 0 <= float(y) <= 240
    # A plot without a number on its axes says nothing.
    assert drawn.count('text-anchor="end"') >= 1


def test_nothing_to_show_is_said() -> None:
    """Where there are no points there is no picture."""
    assert plot([("a", []), ("b", [(0.0, 0.0)])], x=str, y=str, is_log=True) == (
        "<p>Nothing to show.</p>"
    )
