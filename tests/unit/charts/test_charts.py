"""Charts: round numbers on the axes, all series within the frame, and names for every reader."""

import math
import re
from xml.etree import ElementTree as Xml

import pytest

from charts.axis import LinearAxis, LogAxis
from charts.chart import HEIGHT, WIDTH, Band, Line, Point, Series, Steps, draw, stack

_SVG = "{http://www.w3.org/2000/svg}"


def _draw(
    *series: Series, is_log: bool = False, marks: list[tuple[float, str]] | None = None
) -> str:
    return draw(
        series, title="Rates <all>", description="Over days & nights.",
        x=str, y=str, is_log=is_log, marks=marks or [],
    )  # fmt: skip


def _parsed(svg: str) -> Xml.Element:
    return Xml.fromstring(svg)  # noqa: S314 - it was drawn here


def _paths(svg: str, shape: str = "polyline") -> list[list[Point]]:
    found = [one.attrib["points"] for one in _parsed(svg).iter(f"{_SVG}{shape}")]
    return [[(float(x), float(y)) for x, y in (p.split(",") for p in path.split())]
            for path in found]  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 125, [0, 20, 40, 60, 80, 100, 120]),
        (0, 0.9, [0, 0.2, 0.4, 0.6, 0.8]),
        (-0.45, 5, [0, 1, 2, 3, 4, 5]),
        (0, 2000, [0, 500, 1000, 1500, 2000]),
        (7, 7, [7, 7.2, 7.4, 7.6, 7.8, 8]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    """A linear axis has few numbers, each a multiple of 1, 2 or 5 times a power of ten."""
    assert list(LinearAxis(low, high).ticks()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 4, [0.2, 0.5, 1, 2, 5]),
        (1e-4, 3e3, [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000]),
    ],
)
def test_ticks_of_a_logarithm(low: float, high: float, expected: list[float]) -> None:
    """
    A logarithmic axis has 1, 2 and 5 of each decade; with many decades only the powers
    of ten.
    """
    assert list(LogAxis(low, high).ticks()) == pytest.approx(expected)


def test_equal_ratios_are_equally_far() -> None:
    """On a logarithmic axis equal ratios have equal distances."""
    axis = LogAxis(1, 100)
    first, second, third = axis.share(4), axis.share(8), axis.share(16)
    assert second - first == pytest.approx(third - second)


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
def test_everything_is_in_the_picture(*, is_log: bool, points: list[Point]) -> None:
    """Each series stays inside its frame, however narrow or wide the values are."""
    drawn = _draw(
        Line("<a>", points), Steps("b", points), Band("c", [(x, y, y + 1) for x, y in points]),
        is_log=is_log, marks=[(0.0, "phase & more")],
    )  # fmt: skip
    paths = _paths(drawn) + _paths(drawn, "polygon")
    assert len(paths) >= 1
    for x, y in (point for path in paths for point in path):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    # A chart without numbers on its axes would show nothing.
    assert drawn.count('text-anchor="end"') >= 1
    assert "phase &amp; more" in drawn


def test_a_screen_reader_hears_title_and_description() -> None:
    """The chart is one image, whose first children name and describe it for a screen reader."""
    root = _parsed(_draw(Line("a", [(0, 1), (1, 2)])))
    assert root.attrib["role"] == "img"
    assert [(one.tag.removeprefix(_SVG), one.text) for one in list(root)[:2]] == [
        ("title", "Rates <all>"),
        ("desc", "Over days & nights."),
    ]


def test_nothing_is_fetched_and_nothing_runs() -> None:
    """A chart refers to no font, style sheet, script or address except the namespace of SVG."""
    drawn = stack([("one", _draw(Line("a", [(0, 1), (1, 2)])))])
    assert set(re.findall(r'https?://[^"]*', drawn)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|style|image|use|foreignObject)|url\(|\bon\w+=|href", drawn)


def test_a_missing_value_leaves_a_gap() -> None:
    """A line is interrupted where a value is not finite, and an isolated value is a dot."""
    drawn = _draw(
        Line("a", [(0, 1), (1, 2), (2, math.nan), (3, 4), (4, math.inf), (5, 1), (6, 1)])
    )
    before, alone, after = _paths(drawn)
    assert (len(before), len(after)) == (2, 2)
    assert alone[0] == alone[1]


def test_steps_hold_until_the_next() -> None:
    """A step is horizontal until the value changes, and then vertical."""
    ((first, corner, second),) = _paths(_draw(Steps("a", [(0, 1), (1, 2)])))
    assert corner == (second[0], first[1])


def test_a_band_lies_between_its_ends() -> None:
    """A band is one closed shape: along the lower values, and back along the upper ones."""
    ((a, b, c, d),) = _paths(_draw(Band("a", [(0, 1, 3), (1, 2, 4)])), "polygon")
    assert (a[0], b[0]) == (d[0], c[0])
    assert a[1] > d[1]
    assert b[1] > c[1]


def test_series_differ_in_more_than_colour() -> None:
    """Two lines have different dashes, for readers who cannot distinguish the colours."""
    drawn = _draw(Line("a", [(0, 1), (1, 2)]), Line("b", [(0, 2), (1, 1)]))
    one, other = _parsed(drawn).iter(f"{_SVG}polyline")
    assert one.get("stroke-dasharray") != other.get("stroke-dasharray")


def test_nothing_to_show_is_said() -> None:
    """Without any points a chart says so instead of drawing."""
    assert _draw(Line("a", []), Line("b", [(0.0, 0.0)]), is_log=True) == (
        "<p>There is nothing to show.</p>"
    )


def test_charts_are_stacked_apart() -> None:
    """Each chart of a stack keeps its size and title, below the one before."""
    chart = _draw(Line("a", [(0, 1), (1, 2)]))
    root = _parsed(stack([("first & foremost", chart), ("second", chart)]))
    inner = list(root.iter(f"{_SVG}svg"))[1:]
    tops = [float(one.attrib["y"]) for one in inner]
    assert tops[1] - tops[0] >= HEIGHT
    assert len(list(root.iter(f"{_SVG}title"))) == 2
