"""Limits of a run."""

import pytest

from simulators.fleet.errors import LimitError
from simulators.fleet.scenario import limits


@pytest.mark.parametrize(
    ("text", "figure", "phase", "bound"),
    [
        pytest.param("p99<=2s", "p99", None, 2.0, id="seconds"),
        pytest.param("p99@steady <= 500ms", "p99", "steady", 0.5, id="phase, ms, blanks"),
        pytest.param("drain<5min", "drain", None, 300.0, id="minutes"),
        pytest.param("offered>=99%", "offered", None, 0.99, id="share"),
        pytest.param("lost=0", "lost", None, 0.0, id="number"),
    ],
)
def test_limits_are_read(text: str, figure: str, phase: str | None, bound: float) -> None:
    """A limit names a figure, perhaps a phase, and a bound with its unit."""
    found = limits.parse(text)
    assert (found.figure, found.phase) == (figure, phase)
    assert found.bound == pytest.approx(bound)


@pytest.mark.parametrize(
    "text",
    ["", "p99", "p99<=2", "lost=0s", "speed>1", "p99<=2%", "offered>=99 s", "p99 ~ 1s", "lost=-1"],
)
def test_what_is_no_limit_is_refused_with_the_mend(text: str) -> None:
    """
    A limit without a unit or with an unknown figure is refused, and the error shows
    valid ones.
    """
    with pytest.raises(LimitError, match="p99<=2s"):
        limits.parse(text)


@pytest.mark.parametrize(
    ("text", "measured", "holds"),
    [
        ("p99<=2s", 2.0, True),
        ("p99<=2s", 2.1, False),
        ("p99<2s", 2.0, False),
        ("offered>=99%", 0.989, False),
        ("lost=0", 0.0, True),
        ("lost=0", 1.0, False),
        ("p99>1s", 1.5, True),
        ("lost=0", None, False),
    ],
)
def test_a_limit_compares(text: str, measured: float | None, holds: bool) -> None:
    """A limit on a figure that was not measured does not hold."""
    assert limits.parse(text).holds(measured) is holds
