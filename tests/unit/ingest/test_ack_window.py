"""Acks go out in the order of receipt."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.delivery import Delivery
from ingest.window import Window


def deliveries(count: int, generation: int = 1) -> list[Delivery]:
    """Return *count* deliveries with packet ids from 1."""
    return [Delivery("t", b"", i + 1, generation, 0) for i in range(count)]


@given(st.permutations(range(6)))
def test_acks_keep_the_order_of_receipt(order: list[int]) -> None:
    """In whatever order deliveries are settled, acks go out in order, none too early."""
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
    """A packet id of an older connection is somebody else's now."""
    window = Window(bound=10)
    (old,), (new,) = deliveries(1, generation=1), deliveries(1, generation=2)
    window.add(new)
    assert window.settle([old]) == []
    assert window.settle([new]) == [1]


def test_bound_counts_what_is_owed() -> None:
    """QoS 0 owes nothing; an ack makes room."""
    window = Window(bound=2)
    first, second = deliveries(2)
    fullness = []
    for one in (Delivery("t", b"", None, 1, 0), first, second):
        window.add(one)
        fullness.append(window.is_full)
    window.settle([first])
    assert [*fullness, window.is_full] == [False, False, True, False]
    assert len(window) == 1
