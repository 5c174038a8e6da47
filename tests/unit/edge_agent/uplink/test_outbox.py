"""Which envelope is published next, and which again."""

import pytest

from edge_agent.uplink.outbox import Outbox, OutboxLimits
from wire.receipt import SpoolReceipt

SPOOL = bytes(16)


@pytest.fixture
def outbox() -> Outbox:
    """An outbox that has published 1, 2 and 3, one second apart, over a new connection."""
    outbox = Outbox(OutboxLimits(max_unsettled=4, resend_after_s=30.0))
    outbox.connected()
    for sequence in (1, 2, 3):
        outbox.published(sequence, now=float(sequence))
    return outbox


def test_room_is_what_receipts_leave(outbox: Outbox) -> None:
    """At most a limited number of envelopes is without a receipt; each receipt makes room."""
    assert outbox.room == 1
    outbox.settled(SpoolReceipt(SPOOL, 1, [(3, 3)]))
    assert outbox.room == 3
    assert len(outbox) == 1
    assert outbox.last == 3


def test_new_connection_begins_anew(outbox: Outbox) -> None:
    """After a reconnection every envelope counts as unpublished."""
    outbox.connected()
    assert outbox.last == 0
    assert outbox.room == 4
    assert outbox.lost(now=1000.0) == []


def test_silence_asks_with_two_alone(outbox: Outbox) -> None:
    """While nothing is settled, only two envelopes are repeated at a time."""
    assert outbox.lost(now=30.9) == []
    assert outbox.lost(now=60.0) == [1, 3]
    for sequence in (1, 3):
        outbox.published(sequence, now=60.0)
    assert outbox.lost(now=61.0) == []
    # They alternate: if no key opens the first, the other may still get a receipt.
    assert outbox.lost(now=90.0) == [2, 3]


def test_what_was_overtaken_is_lost(outbox: Outbox) -> None:
    """An envelope is lost if a later one was settled and it was not."""
    outbox.published(1, now=60.0)
    outbox.settled(SpoolReceipt(SPOOL, 1))
    assert outbox.lost(now=60.1) == [2, 3]
    outbox.published(2, now=60.1)
    outbox.published(3, now=60.1)
    assert outbox.lost(now=60.2) == []


def test_overtaken_is_not_lost_before_its_time(outbox: Outbox) -> None:
    """A recent envelope is not considered lost, because receipts may be late."""
    outbox.settled(SpoolReceipt(SPOOL, 0, [(3, 3)]))
    assert outbox.lost(now=20.0) == []
    assert outbox.lost(now=32.5) == [1, 2]


def test_dropped_is_not_asked_for(outbox: Outbox) -> None:
    """A purged envelope is never published again."""
    outbox.drop([1, 2, 9])
    assert outbox.lost(now=1000.0) == [3]


def test_due_follows_what_is_on_its_way(outbox: Outbox) -> None:
    """The next check is when an envelope may be lost, or later if all are overdue."""
    assert outbox.due_in_s(now=3.0) == pytest.approx(28.0)
    assert outbox.due_in_s(now=31.5) == pytest.approx(0.5)
    assert outbox.due_in_s(now=100.0) == pytest.approx(30.0)
    outbox.connected()
    assert outbox.due_in_s(now=100.0) is None


def test_fresh_goes_before_the_backlog() -> None:
    """Envelopes that were appended after the connection go before the backlog."""
    outbox = Outbox(OutboxLimits(max_unsettled=8, backlog_per_s=10.0))
    outbox.connected(backlog_through=100)
    assert outbox.last == 100
    assert outbox.backlog == (0, 100)
    outbox.published(101, now=1.0)
    outbox.published(1, now=1.0)
    assert outbox.last == 101
    assert outbox.backlog == (1, 100)
    outbox.published(100, now=1.0)
    assert outbox.backlog is None


def test_backlog_keeps_its_pace_and_leaves_room() -> None:
    """The backlog has a limited rate, and leaves a quarter of the room free."""
    outbox = Outbox(OutboxLimits(max_unsettled=100, backlog_per_s=10.0))
    outbox.connected(backlog_through=1000)
    assert outbox.backlog_room(now=50.0) == 10
    for sequence in range(1, 11):
        outbox.published(sequence, now=50.0)
    assert outbox.backlog_room(now=50.0) == 0
    assert outbox.backlog_room(now=50.55) == 5
    assert outbox.backlog_room(now=90.0) == 10
    for sequence in range(1001, 1064):
        outbox.published(sequence, now=90.0)
    assert outbox.room == 27
    assert outbox.backlog_room(now=91.0) == 2
    outbox.backlog_done()
    assert outbox.backlog_room(now=200.0) == 0


def test_backlog_is_looked_for_again() -> None:
    """While the backlog waits for its rate, the next check is soon; without room it is not."""
    outbox = Outbox(OutboxLimits(max_unsettled=2))
    outbox.connected(backlog_through=10)
    assert outbox.due_in_s(now=0.0) == pytest.approx(0.1)
    outbox.published(11, now=0.0)
    outbox.published(12, now=0.0)
    assert outbox.due_in_s(now=0.0) == pytest.approx(30.0)


def _asides(count: int) -> Outbox:
    """Return an outbox with *count* envelopes, 1 and above, that never get a receipt."""
    outbox = Outbox(OutboxLimits(max_unsettled=4096, resend_after_s=30.0))
    outbox.connected()
    for now in (0.0, 31.0):
        for sequence in range(1, count + 1):
            outbox.published(sequence, now=now)
        outbox.published(9999, now=now + 1)
        outbox.settled(SpoolReceipt(SPOOL, 0, [(9999, 9999)]))
    assert outbox.lost(now=62.0) == []
    return outbox


def test_what_never_gets_a_receipt_takes_no_room() -> None:
    """An envelope that was overtaken twice is set aside, and a few such are repeated at a time."""
    outbox = _asides(40)
    assert (len(outbox), outbox.room) == (0, 4096)
    assert outbox.due_in_s(now=62.0) == 0.0
    asked: list[int] = []
    for now in (62.0, 92.0, 122.0):
        found = outbox.lost(now=now)
        assert len(found) == 16
        asked += found
        for sequence in found:
            outbox.published(sequence, now=now)
        assert outbox.lost(now=now + 29.0) == []
    assert set(asked) == set(range(1, 41))
    assert (len(outbox), outbox.room) == (0, 4096)


def test_what_was_set_aside_may_be_settled_or_dropped() -> None:
    """An envelope that was set aside is settled by a late receipt, or dropped by a purge."""
    outbox = _asides(4)
    outbox.settled(SpoolReceipt(SPOOL, 2))
    outbox.drop([3])
    assert outbox.lost(now=62.0) == [4]


def test_what_was_set_aside_is_remembered_within_bounds() -> None:
    """The number of envelopes that are remembered as set aside is limited."""
    outbox = _asides(3000)
    assert outbox.lost(now=62.0)[0] == 3000 - 2048 + 1


def test_what_was_set_aside_takes_no_room_over_a_new_connection_either() -> None:
    """After a reconnection all are published once, and those set aside before delay no other."""
    outbox = _asides(4)
    outbox.connected()
    for sequence in (1, 2, 3, 4, 5):
        outbox.published(sequence, now=100.0)
    assert outbox.room == 4095


def test_a_thousand_that_no_key_opens_do_not_hold_up_what_is_fresh() -> None:
    """A thousand envelopes that no key opens delay neither new envelopes nor the backlog."""
    outbox = Outbox(OutboxLimits(max_unsettled=512, resend_after_s=30.0, backlog_per_s=200.0))
    unopenable, backlog, fresh = set(range(1, 1001)), range(1, 1201), 1200
    outbox.connected(backlog_through=backlog[-1])
    settled: set[int] = set()
    sent = dict.fromkeys(backlog, 0)
    for second in range(600):
        now = 1000.0 + second
        for sequence in outbox.lost(now=now):
            outbox.published(sequence, now=now)
            sent[sequence] += 1
        fresh += 1
        assert outbox.room > 0, f"fresh waits in second {second}"
        outbox.published(fresh, now=now)
        arrived = {fresh}
        for _ in range(outbox.backlog_room(now=now)):
            if outbox.backlog is None:
                break
            sequence = outbox.backlog[0] + 1
            outbox.published(sequence, now=now)
            sent[sequence] += 1
            arrived.add(sequence)
        for sequence in arrived - unopenable:
            outbox.settled(SpoolReceipt(SPOOL, 0, [(sequence, sequence)]))
            settled.add(sequence)
    assert settled >= set(backlog) - unopenable
    assert sum(sent[sequence] for sequence in unopenable) < 2 * 1000 + 16 * 600 / 30 + 1
