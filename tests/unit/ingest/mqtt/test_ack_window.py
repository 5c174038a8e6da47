"""Acknowledgements go out in the order of receipt."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.mqtt.window import Window
from ingest.values.delivery import Delivery


def deliveries(count: int, generation: int = 1) -> list[Delivery]:
    """Return *count* deliveries with packet ids from 1."""
    return [Delivery("t", b"", i + 1, generation, 0) for i in range(count)]


@given(st.permutations(range(6)))
def test_acks_keep_the_order_of_receipt(order: list[int]) -> None:
    """
    Deliveries may be settled in any order: acknowledgements go out in order, and none
    too early.
    """
    window = Window(bound=10)
    owed = deliveries(6)
    for one in owed:
        window.add(one)
    acked: list[int] = []
    settled: set[int] = set()
    for index in order:
        settled.add(index + 1)
        acked += window.settle([owed[index]])
        assert set(acked) <= settled
    assert acked == [1, 2, 3, 4, 5, 6]


def test_ack_never_crosses_a_reconnect() -> None:
    """
    No acknowledgement is sent on a later connection, where its packet id belongs to another
    message.
    """
    window = Window(bound=10)
    (old,), (new,) = deliveries(1, generation=1), deliveries(1, generation=2)
    window.add(new)
    assert window.settle([old]) == []
    assert window.settle([new]) == [1]


def test_bound_counts_what_is_owed() -> None:
    """Settled deliveries make room in the window."""
    window = Window(bound=2)
    first, second = deliveries(2)
    fullness = []
    for one in (first, second):
        window.add(one)
        fullness.append(window.is_full)
    window.settle([first])
    assert [*fullness, window.is_full] == [False, True, False]
    assert len(window) == 1


def test_what_is_owed_no_ack_fills_the_window_too() -> None:
    """
    Deliveries with QoS 0 count in the window as well, so that it is bounded while the database is
    down.
    """
    window = Window(bound=2)
    (acked,) = deliveries(1)
    unacked = Delivery("t", b"", None, 1, 0)
    for one in (unacked, acked):
        window.add(one)
    assert window.is_full
    assert window.settle([acked]) == []
    assert window.settle([unacked]) == [1]
    assert len(window) == 0
