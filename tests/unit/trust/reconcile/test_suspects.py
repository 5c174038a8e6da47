"""Finding the lease that makes the broker close the connection."""

from trust.reconcile.suspects import Suspects


def test_one_of_many_is_found_alone() -> None:
    """
    After a loss each suspect is published alone; one that is lost again goes last, and is
    convicted there.
    """
    doubt = Suspects()
    doubt.lost(["a", "b", "c"])
    assert (doubt.next_alone, doubt.last_alone) == (["a", "b", "c"], [])

    doubt.passed(["a"])
    doubt.lost(["b"])
    assert (doubt.next_alone, doubt.last_alone) == (["c"], ["b"])
    assert doubt.convicted() == []

    doubt.connected()
    doubt.passed(["c"])
    doubt.lost(["b"])
    assert doubt.convicted() == ["b"]
    assert doubt.all == []


def test_a_broker_that_only_restarts_convicts_nobody() -> None:
    """A lease that passes afterwards is no longer suspected, however often the broker restarts."""
    doubt = Suspects()
    for _ in range(5):
        doubt.lost(["a", "b"])
        doubt.passed(["a", "b"])
        doubt.lost(["a"])
        doubt.passed(["a"])

    assert doubt.convicted() == []
    assert doubt.all == []


def test_who_was_set_aside_before_goes_last() -> None:
    """
    A lease that was set aside before goes last: one more loss convicts it, and a success clears
    it.
    """
    doubt = Suspects()
    doubt.again(["a", "b"])
    assert doubt.last_alone == ["a", "b"]

    doubt.passed(["b"])
    doubt.lost(["a"])

    assert doubt.convicted() == ["a"]


def test_a_broker_that_takes_nothing_convicts_nobody() -> None:
    """While no lease passes, the broker is at fault, and no lease is convicted."""
    doubt = Suspects()
    doubt.lost(["a", "b"])
    for _ in range(5):
        doubt.connected()
        doubt.lost(["a"])
        doubt.connected()
        doubt.lost(["b"])

    assert doubt.convicted() == []
    assert doubt.last_alone == ["a", "b"]
