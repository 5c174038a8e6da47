"""Pauses between attempts."""

from runtime.backoff import Backoff


def test_bounds_double_up_to_the_longest() -> None:
    """The bound of the pause doubles with each failure in a row, up to the longest."""
    backoff = Backoff(lambda: 1.0, first_s=1.0, longest_s=5.0)
    assert [backoff.failed() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.succeeded()
    assert backoff.failed() == 1.0


def test_jitter_is_full() -> None:
    """A pause is random between 0 and its bound."""
    draws = iter([0.0, 0.25])
    backoff = Backoff(lambda: next(draws), first_s=1.0)
    assert [backoff.failed(), backoff.failed()] == [0.0, 0.5]


def test_longest_wait_may_be_shortened() -> None:
    """A shorter longest pause applies from the next pause on."""
    backoff = Backoff(lambda: 1.0, first_s=0.5, longest_s=60.0)
    for _ in range(10):
        backoff.failed()
    backoff.longest_s = 2.0
    assert backoff.failed() == 2.0


def test_failures_in_a_row_are_counted() -> None:
    """A success resets the count of failures."""
    backoff = Backoff(lambda: 1.0)
    backoff.failed()
    backoff.failed()
    assert backoff.failures == 2
    backoff.succeeded()
    assert backoff.failures == 0
