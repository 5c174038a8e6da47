"""The envelopes of a fleet's gateway in memory."""

from simulators.fleet.gateway.memory_spool import WINDOW, MemorySpool, Waiting
from simulators.fleet.scenario.plan import Act
from wire.receipt import SpoolReceipt


def _filled(*acts: Act) -> MemorySpool:
    spool = MemorySpool()
    for sequence, act in enumerate(acts, start=1):
        spool.add(act, sequence, Waiting(bytes([sequence]), sequence))
    return spool


def _order(spool: MemorySpool) -> list[int]:
    return [waiting.place for _, waiting in spool.take()]


def test_envelopes_go_in_the_order_of_their_sequences() -> None:
    """Envelopes are published in the order of their sequences, once."""
    assert _order(_filled(Act.SEND, Act.SEND, Act.SEND)) == [1, 2, 3]


def test_a_duplicate_goes_twice() -> None:
    """A duplicate is published twice in succession."""
    assert _order(_filled(Act.SEND_TWICE, Act.SEND)) == [1, 1, 2]


def test_a_late_one_goes_behind_the_next() -> None:
    """A late envelope is published right after the next one."""
    spool = _filled(Act.SEND_LATE)
    assert _order(spool) == []
    spool.add(Act.SEND, 2, Waiting(b"", 2))
    assert _order(spool) == [2, 1]


def test_a_late_one_is_not_held_for_ever() -> None:
    """At the end a late envelope is published without a next one."""
    spool = _filled(Act.SEND_LATE)
    spool.release()
    assert _order(spool) == [1]


def test_the_window_is_kept() -> None:
    """Packets in flight never exceed the window, and an acknowledgement makes room."""
    spool = _filled(*[Act.SEND] * (WINDOW + 5))
    taken = spool.take()
    assert len(taken) == WINDOW
    assert spool.take() == []
    assert spool.acknowledged(taken[0][0]) == 1
    assert _order(spool) == [WINDOW + 1]


def test_the_brokers_window_is_kept() -> None:
    """A smaller window of the broker is obeyed."""
    spool = _filled(*[Act.SEND] * 5)
    spool.reconnected(limit=2)
    assert len(spool.take()) == 2


def test_packet_ids_under_way_are_unlike() -> None:
    """Packets in flight have distinct ids."""
    spool = MemorySpool()
    spool.reconnected(limit=65_535)
    first = spool.claim()
    for _ in range(70_000):
        packet_id = spool.claim()
        assert packet_id != first
        spool.acknowledged(packet_id)


def test_a_reconnect_puts_all_in_line_again() -> None:
    """After a reconnection every envelope without a receipt is queued again."""
    spool = _filled(Act.SEND, Act.SEND, Act.SEND)
    spool.take()
    spool.forget(SpoolReceipt(bytes(16), 0, [(2, 2)]))
    spool.reconnected(limit=100)
    assert _order(spool) == [1, 3]


def test_exactly_what_a_receipt_covers_is_forgotten() -> None:
    """A receipt removes exactly the envelopes that it covers."""
    spool = _filled(*[Act.SEND] * 6)
    covered = spool.forget(SpoolReceipt(bytes(16), 2, [(4, 5)]))
    assert [sequence for sequence, _ in covered] == [1, 2, 4, 5]
    assert list(spool.waiting) == [3, 6]
    assert spool.floor(following=7) == 3


def test_what_waits_too_long_is_put_in_line() -> None:
    """Only envelopes that were published long ago are queued again."""
    spool = _filled(Act.SEND, Act.SEND, Act.SEND)
    for at, (_, waiting) in zip((10.0, 50.0, 10.0), spool.take(), strict=True):
        waiting.published_at = at
    spool.put_overdue(20.0)
    assert _order(spool) == [1, 3]


def test_a_purge_drops_what_was_never_published() -> None:
    """
    A purge drops only envelopes that were never published, because others may be stored
    already.
    """
    spool = _filled(Act.SEND, Act.SEND)
    spool.take()[0][1].published_at = 1.0
    spool.add(Act.SEND_LATE, 3, Waiting(b"", 3))
    assert sorted(waiting.place for waiting in spool.purge()) == [2, 3]
    assert list(spool.waiting) == [1]
    assert _order(spool) == []
    assert spool.floor(following=4) == 1


def test_what_is_held_back_is_not_overdue() -> None:
    """An envelope that was held back and never published does not count as overdue."""
    spool = _filled(Act.SEND_LATE)
    spool.put_overdue(20.0)
    assert _order(spool) == []
