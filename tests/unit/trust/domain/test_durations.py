"""Durations in text."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.domain import durations


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1ms", 1),
        ("1s", 1000),
        ("0.5s", 500),
        ("5min", 300_000),
        ("1h", 3_600_000),
        ("395d", 395 * 86_400_000),
        ("60 s", 60_000),
        ("PT1M", 60_000),
        ("PT0.5S", 500),
        ("P1DT1H", 90_000_000),
        ("P2W", 14 * 86_400_000),
    ],
)
def test_parse_golden_value(text: str, ms: int) -> None:
    """Both notations are parsed to milliseconds."""
    assert durations.parse(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "1", "s", "-1s", "0s", "0.1ms", "1y", "P", "PT", "P1M", "P1Y", "1 s s", "١s", "1e3s"],
)
def test_parse_refuses(text: str) -> None:
    """An empty text, a missing unit, a fraction, and units of variable length are refused."""
    with pytest.raises(ValueError, match=r"duration|whole"):
        durations.parse(text)


@given(st.text(max_size=20))
def test_parse_raises_nothing_else(text: str) -> None:
    """Any text gives a number or a ValueError."""
    with contextlib.suppress(ValueError):
        assert durations.parse(text) >= 1


def test_whole_ms_goes_down() -> None:
    """A time is truncated to whole ms, because rounding could move it into the future."""
    at = dt.datetime(2026, 1, 1, 0, 0, 0, 1999, tzinfo=dt.UTC)
    assert durations.whole_ms(at) == at.replace(microsecond=1000)
