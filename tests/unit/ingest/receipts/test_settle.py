"""Settled sequences, floors, and a limited rate of receipts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.receipts.settle import _MAX_RUNS, Ranges, Settlements
from ingest.values.delivery import EnvelopeId
from tests.fakes.ingest import AGENT, SPOOL
from wire import receipt
from wire.receipt import MAX_RANGES, MAX_SPOOLS, SpoolReceipt

SEQUENCES = st.integers(1, 40)


def one(sequence: int, spool: bytes = SPOOL, agent: str = AGENT) -> EnvelopeId:
    """Return the identity of envelope *sequence*."""
    return EnvelopeId((agent, spool), sequence)


@given(
    st.lists(st.one_of(SEQUENCES, SEQUENCES.map(lambda s: -s)), max_size=40),
    st.integers(0, 10),
    st.lists(st.tuples(SEQUENCES, st.integers(0, 5)), max_size=4),
)
def test_ranges_are_a_set(steps: list[int], through: int, runs: list[tuple[int, int]]) -> None:
    """Ranges hold exactly the settled sequences, ascending and apart, in any order of settling."""
    ranges = Ranges(through, [(a, a + n) for a, n in runs])
    expected = set(range(1, through + 1)) | {s for a, n in runs for s in range(a, a + n + 1)}
    for step in steps:
        if step > 0:
            ranges.add(step)
            expected.add(step)
        else:
            ranges.raise_to(-step)
            expected |= set(range(1, -step + 1))
    told = SpoolReceipt(SPOOL, ranges.through, ranges.runs())
    assert {s for s in range(1, 60) if told.covers(s)} == expected
    assert {s for s in range(1, 60) if ranges.covers(s)} == expected
    assert receipt.decode(receipt.encode([told])).spools == [told]
    assert ranges.through + 1 not in expected


def test_spool_with_holes_without_end_fills_no_memory() -> None:
    """
    With gaps without end the memory is limited: the newest sequences are kept, and others are read
    again.
    """
    ranges = Ranges()
    for sequence in range(2, 20_001, 2):
        ranges.add(sequence)
    assert len(ranges.runs()) == _MAX_RUNS
    assert ranges.covers(20_000)
    assert not ranges.covers(20_000 - 2 * _MAX_RUNS)
    for sequence in range(20_001 - 2 * _MAX_RUNS, 20_000, 2):
        ranges.add(sequence)
    assert ranges.runs() == [(20_001 - 2 * _MAX_RUNS, 20_000)]


def test_receipt_tells_what_came_last_however_many_holes_there_are() -> None:
    """With unproven gaps without end, receipts still cover the newest sequences."""
    ranges = Ranges()
    told = SpoolReceipt(SPOOL, 0)
    for sequence in range(2, 1001, 2):
        ranges.add(sequence)
        told = SpoolReceipt(SPOOL, ranges.through, ranges.runs(MAX_RANGES))
        assert told.covers(sequence)
        assert len(told.ranges) <= MAX_RANGES
    # A repeated sequence is settled already, and is in a receipt again.
    assert not told.covers(400)
    ranges.add(400)
    told = SpoolReceipt(SPOOL, ranges.through, ranges.runs(MAX_RANGES))
    assert told.covers(400)
    assert told.covers(1000)
    assert told.ranges == sorted(told.ranges)


def ready(interval_s: float = 1.0) -> Settlements:
    """Return settlements that know `SPOOL`."""
    settlements = Settlements(interval_s=interval_s)
    settlements.load((AGENT, SPOOL), 0, [])
    return settlements


def test_first_receipt_goes_out_at_once_and_the_next_waits() -> None:
    """The first receipt goes out at once, and the next one after a pause."""
    settlements = ready()
    assert settlements.due_in_s(now=0.0) is None
    settlements.settle([one(1)], now=10.0)
    assert settlements.due_in_s(now=10.0) == 0.0
    assert len(settlements.take_due(now=10.0)) == 1
    settlements.settle([one(2)], now=10.2)
    assert settlements.due_in_s(now=10.2) == pytest.approx(0.8)
    assert settlements.take_due(now=10.2) == []
    assert settlements.take_due(now=11.0) == [(AGENT, [SpoolReceipt(SPOOL, 2)])]
    settlements.settle([one(3)], now=60.0)
    assert settlements.due_in_s(now=60.0) == 0.0


def test_stop_takes_every_receipt() -> None:
    """At a stop every pending receipt goes out."""
    settlements = ready()
    settlements.settle([one(1)], now=0.0)
    settlements.take_due(now=0.0)
    settlements.settle([one(2)], now=0.1)
    assert len(settlements.take_due(now=0.1, everything=True)) == 1


def test_floor_settles_what_is_below() -> None:
    """A floor settles all sequences below it, and merges with the runs that it reaches."""
    settlements = ready(interval_s=0.0)
    settlements.settle([one(7), one(8)], now=0.0)
    settlements.raise_floor((AGENT, SPOOL), 5, now=0.0)
    assert settlements.take_due(now=0.0) == [(AGENT, [SpoolReceipt(SPOOL, 4, [(7, 8)])])]
    assert settlements.is_behind((AGENT, SPOOL), 7)
    settlements.raise_floor((AGENT, SPOOL), 7, now=1.0)
    assert settlements.take_due(now=1.0) == [(AGENT, [SpoolReceipt(SPOOL, 8)])]
    settlements.raise_floor((AGENT, SPOOL), 3, now=2.0)
    assert settlements.due_in_s(now=2.0) is None
    assert settlements.is_behind((AGENT, SPOOL), 9) is False
    assert settlements.is_behind((AGENT, bytes(16)), 9) is None


def test_a_receipt_can_be_owed_without_anything_new() -> None:
    """A receipt can become due without a new settlement; a missing spool has none."""
    settlements = ready(interval_s=0.0)
    settlements.owe([AGENT, "f" * 16], now=0.0)
    assert settlements.take_due(now=0.0) == [(AGENT, [SpoolReceipt(SPOOL, 0)])]


def test_receipt_stays_within_the_contract() -> None:
    """With any number of spools and gaps a receipt stays within the limits of its format."""
    settlements = Settlements(interval_s=0.0)
    spools = [bytes([i]) * 16 for i in range(MAX_SPOOLS + 4)]
    for spool in spools:
        settlements.load((AGENT, spool), 0, [])
        settlements.settle([one(2 * n, spool) for n in range(1, MAX_RANGES + 20)], now=0.0)
    ((_, told),) = settlements.take_due(now=0.0)
    assert receipt.decode(receipt.encode(told)).spools == told
    assert [s.spool_id for s in told] == spools[: -MAX_SPOOLS - 1 : -1]


def test_forgotten_spool_is_read_again() -> None:
    """The least recently used spool is forgotten, and read again when needed."""
    settlements = Settlements(interval_s=0.0, max_spools=2)
    spools = [bytes([i]) * 16 for i in range(3)]
    for spool in spools:
        settlements.load((AGENT, spool), 0, [])
    assert settlements.unknown((AGENT, spool) for spool in spools) == {(AGENT, spools[0])}
    settlements.settle([one(1, spools[0])], now=0.0)
    assert settlements.due_in_s(now=0.0) is None


def test_spool_that_is_read_twice_keeps_what_was_settled_in_between() -> None:
    """If two flushes read a spool at once, the older answer does not remove newer sequences."""
    settlements = Settlements(interval_s=1.0)
    settlements.load((AGENT, SPOOL), 0, [])
    settlements.settle([one(1)], now=0.0)
    settlements.load((AGENT, SPOOL), 0, [])
    asked = [one(1), one(2), one(1, spool=b"o" * 16)]
    assert settlements.covers(asked) == [True, False, False]


def test_watermark_waits_until_it_is_worth_a_row() -> None:
    """
    A watermark is written when it has grown far enough, and then not again until the
    next step.
    """
    settlements = ready()
    settlements.settle([one(s) for s in range(1, 64)], now=0.0)
    assert settlements.watermarks([(AGENT, SPOOL)]) == []
    settlements.settle([one(64)], now=0.0)
    marks = settlements.watermarks([(AGENT, SPOOL)])
    assert marks == [(AGENT, SPOOL, 64)]
    settlements.marked(marks)
    assert settlements.watermarks([(AGENT, SPOOL)]) == []


def test_watermark_that_was_read_is_not_written_again() -> None:
    """A watermark that was read from the database is not written again."""
    settlements = Settlements(interval_s=1.0)
    settlements.load((AGENT, SPOOL), 100, [(102, 300)])
    assert settlements.watermarks([(AGENT, SPOOL)]) == []
    settlements.settle([one(101)], now=0.0)
    assert settlements.watermarks([(AGENT, SPOOL)]) == [(AGENT, SPOOL, 300)]


def test_what_came_now_is_told_however_many_runs_are_above() -> None:
    """If there are too many runs, the lowest are omitted, except a run that has just come."""
    ranges = Ranges(0, [(n, n) for n in range(10_000, 20_000, 2)])

    ranges.add(5)
    assert ranges.covers(5)
    assert (5, 5) in ranges.runs(128)
    for sequence in (1, 2, 3, 4):
        ranges.add(sequence)
    assert ranges.through == 5
