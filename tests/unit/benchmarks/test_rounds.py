"""Rounds: the order of contenders, medians and ratios."""

import pytest

from benchmarks.rounds import RATE, Table, Turn, figure, line, play, schedule


def nothing() -> dict[str, float]:
    """Take no turn."""
    return {RATE: 1.0}


def test_order_alternates() -> None:
    """The first contender of a round is the last of the next, so that no order is constant."""
    turns = {name: Turn(nothing) for name in "abc"}
    assert [name for _, name in schedule(turns, 3)] == [*"abc", *"cba", *"abc"]


def test_some_sit_out_rounds() -> None:
    """A slow contender takes part in every second round."""
    turns = {"a": Turn(nothing), "b": Turn(nothing, every=2)}
    assert list(schedule(turns, 3)) == [(0, "a"), (0, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_ratio_pairs_what_was_measured_in_one_round() -> None:
    """A ratio is taken within a round, because the machine differs from round to round."""
    table = Table(
        {
            "ours": {0: {RATE: 10.0}, 1: {RATE: 2.0}, 2: {RATE: 9.0}},
            "limit": {0: {RATE: 20.0}, 2: {RATE: 10.0}},
        }
    )
    assert table.ratio("ours", "limit").rounds == [0.5, 0.9]
    assert table.ratio("ours", "limit").median == pytest.approx(0.7)
    assert "telegraf" not in table


def test_play_says_each_turn() -> None:
    """Each turn is reported."""
    said: list[str] = []
    table = play({"a": Turn(nothing)}, rounds=2, say=said.append)
    assert table.figure("a") == figure([1.0, 1.0])
    assert len(said) == 2


def test_line_finds_what_a_message_and_a_reading_cost() -> None:
    """Points on a line give its intercept and slope: the costs of a message and of a reading."""
    assert line({1: 10.1, 30: 13.0, 300: 40.0}) == pytest.approx((10.0, 0.1))
