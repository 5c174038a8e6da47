"""Rate limits."""

import pytest

from runtime.token_bucket import TokenBucket


def test_a_burst_passes_and_then_as_many_as_come_back() -> None:
    """A full bucket allows its burst at once, and then its rate."""
    bucket = TokenBucket(burst=3, per_s=0.1, since_s=0.0)
    assert [bucket.take(now=0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(now=9.9)
    assert bucket.take(now=10.0)
    assert [bucket.take(now=9999.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """A time before the last one adds and removes no token."""
    bucket = TokenBucket(burst=1, per_s=1.0, since_s=100.0)
    assert bucket.take(now=100.0)
    assert not bucket.take(now=0.0)


def test_the_wait_is_the_time_to_the_next_token() -> None:
    """The reported wait is exactly the time to the next token, and asking takes none."""
    bucket = TokenBucket(burst=1, per_s=0.5, since_s=0.0)
    assert bucket.wait_s(now=0.0) <= 0
    assert bucket.take(now=0.0)
    assert bucket.wait_s(now=0.5) == pytest.approx(1.5)
    assert bucket.take(now=0.5 + 1.5)
