"""The order in which a report's records are passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bluetooth.errors import Endless
from edge_agent.bluetooth.records import record_assembler
from edge_agent.bluetooth.records.record_assembler import RecordAssembler

Plain = RecordAssembler[str, str]


def sequences(report: Plain) -> list[int]:
    """Return the sequences of the records that are ready."""
    return [ready.sequence for ready in report.ready()]


def test_what_follows_directly_goes_at_once() -> None:
    """A record that follows the last one directly is ready at once."""
    report = Plain(after=4)
    report.add(5, "five")
    assert sequences(report) == [5]


def test_what_follows_a_gap_waits_for_the_end() -> None:
    """
    A record after a gap waits for the end of the report, so that the cursor passes no missing
    record.
    """
    report = Plain(after=4)
    report.add(5, "five")
    report.add(7, "seven")
    report.add(8, "eight")
    assert sequences(report) == [5]
    report.add(6, "six")
    assert sequences(report) == [6, 7, 8]


def test_two_reports_at_once_lose_nothing() -> None:
    """Records of another report that arrive at the same time do not move the cursor."""
    report = Plain(after=19)
    gone: list[int] = []
    for n in range(20, 60):
        report.add(n + 40, "another's")
        report.add(n, "ours")
        gone += sequences(report)
    assert gone == list(range(20, 100))


def test_a_memory_of_which_nobody_knows_the_beginning_is_held_to_the_end() -> None:
    """If the first expected sequence is unknown, every record waits for the end of the report."""
    report = Plain()
    for sequence in (3, 2, 1, 0):
        report.add(sequence, "")
        assert sequences(report) == []
    assert report.newest() == ""
    report.complete()
    assert sequences(report) == [0, 1, 2, 3]


def test_the_beginning_may_become_known() -> None:
    """Once the first expected sequence is known, records that follow it directly are ready."""
    report, known = Plain(), Plain(after=2)
    for each in (report, known):
        each.begins_after(4)
        each.add(5, "five")
    assert sequences(report) == [5]
    assert sequences(known) == []
    assert (report.received, known.received) == (1, 1)


def test_a_record_waits_for_its_context() -> None:
    """A record waits for its context, and later records wait behind it."""
    report = Plain(after=-1)
    report.add(0, "zero", waits=True)
    report.add(1, "one")
    assert sequences(report) == []
    report.add_context(0, "fasting")
    (zero, one) = report.ready()
    assert (zero.context, one.context) == ("fasting", None)


def test_a_context_that_never_comes_is_told_at_the_end() -> None:
    """At the end of the report a record without its context is passed on without one."""
    report = Plain()
    report.add(0, "zero", waits=True)
    report.complete()
    assert [ready.context for ready in report.ready()] == [None]


@given(st.lists(st.integers(0, 30), max_size=60))
def test_each_goes_once_and_in_order(arrived: list[int]) -> None:
    """Each record is passed on once and in order, even if some are missing or repeated."""
    report, gone = Plain(after=-1), list[int]()
    for sequence in arrived:
        report.add(sequence, "")
        gone += sequences(report)
    report.complete()
    gone += sequences(report)

    assert sorted(gone) == sorted(set(arrived))
    assert gone == sorted(gone)


def test_what_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated records, new ones and contexts without end raise an error at a limit."""
    monkeypatch.setattr(record_assembler, "MAX_HELD", 10)
    monkeypatch.setattr(record_assembler, "MAX_REPEATED", 10)
    repeated, held, new, contexts = Plain(after=-1), Plain(), Plain(), Plain()
    repeated.add(0, "")
    repeated.ready()
    held.add(0, "")
    for n in range(10):
        repeated.add(0, "")
        held.add(0, "")
        new.add(n, "")
        contexts.add_context(n, "")

    for endless in (repeated, held):
        with pytest.raises(Endless):
            endless.add(0, "")
    held.again()
    held.add(0, "")
    with pytest.raises(Endless):
        new.add(10, "")
    with pytest.raises(Endless):
        contexts.add_context(10, "")
