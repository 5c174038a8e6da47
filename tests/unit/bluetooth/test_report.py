"""Records on their way out of a memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bluetooth import memory
from edge_agent.bluetooth.errors import Endless
from edge_agent.bluetooth.memory import Report

Plain = Report[str, str]


def sequences(report: Plain) -> list[int]:
    """Return what may be let go now."""
    return [ready.sequence for ready in report.ready()]


def test_what_follows_directly_goes_at_once() -> None:
    """Nothing can come between two sequences that follow one another."""
    report = Plain(after=4)
    report.add(5, "five")
    assert sequences(report) == [5]


def test_a_gap_waits_for_a_successor() -> None:
    """Whether a meter counts up or down is not known before the second record."""
    report = Plain()
    report.add(5, "five")
    assert sequences(report) == []
    report.add(7, "seven")
    assert sequences(report) == [5]
    report.complete()
    assert sequences(report) == [7]


def test_a_meter_that_counts_down_is_held_to_the_end() -> None:
    """Its last record comes first, and must not move the cursor past the others."""
    report = Plain()
    for sequence in (3, 2, 1, 0):
        report.add(sequence, "")
        assert sequences(report) == []
    report.complete()
    assert sequences(report) == [0, 1, 2, 3]


def test_a_record_waits_for_its_context() -> None:
    """And so does whatever comes after it."""
    report = Plain()
    report.add(0, "zero", waits=True)
    report.add(1, "one")
    assert sequences(report) == []
    report.add_context(0, "fasting")
    (zero, one) = report.ready()
    assert (zero.context, one.context) == ("fasting", None)


def test_a_context_that_never_comes_is_told_at_the_end() -> None:
    """The record goes without, and is judged so."""
    report = Plain()
    report.add(0, "zero", waits=True)
    report.complete()
    assert [ready.context for ready in report.ready()] == [None]


def test_held_lets_nothing_go_before_the_end() -> None:
    """Where the first record that we want is not known, all wait."""
    report = Plain(hold=True)
    report.add(0, "")
    report.add(1, "")
    assert sequences(report) == []
    assert report.newest() == ""
    report.complete()
    assert sequences(report) == [0, 1]


@given(st.lists(st.integers(0, 30), max_size=60))
def test_each_goes_once_and_in_order(arrived: list[int]) -> None:
    """In whatever order they come, and however often."""
    report, gone = Plain(), list[int]()
    for sequence in arrived:
        report.add(sequence, "")
        gone += sequences(report)
    report.complete()
    gone += sequences(report)

    assert sorted(gone) == sorted(set(arrived))
    if arrived == sorted(arrived):
        assert gone == sorted(set(arrived))


def test_what_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repeated records, nor new ones, nor contexts without end fill the memory."""
    monkeypatch.setattr(memory, "MAX_HELD", 10)
    monkeypatch.setattr(memory, "MAX_REPEATED", 10)
    repeated, new, contexts = Plain(), Plain(hold=True), Plain()
    repeated.add(0, "")
    repeated.ready()
    for n in range(10):
        repeated.add(0, "")
        new.add(n, "")
        contexts.add_context(n, "")

    with pytest.raises(Endless):
        repeated.add(0, "")
    with pytest.raises(Endless):
        new.add(10, "")
    with pytest.raises(Endless):
        contexts.add_context(10, "")
