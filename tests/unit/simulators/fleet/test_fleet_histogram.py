"""Histograms of times."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.fleet.report.histogram import Histogram, bucket_of, highest_of

_times = st.integers(0, (1 << 42) - 1)


@given(_times)
def test_bucket_holds_its_value_closely(us: int) -> None:
    """The upper end of a bucket is at most 0.8 % above each of its values."""
    highest = highest_of(bucket_of(us))
    assert us <= highest <= us * (1 + 1 / 127)


@given(_times)
def test_buckets_are_in_the_order_of_their_values(us: int) -> None:
    """The value after the last one of a bucket is in the next bucket."""
    bucket = bucket_of(us)
    assert bucket_of(highest_of(bucket)) == bucket
    assert bucket_of(highest_of(bucket) + 1) == bucket + 1


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_recording_all_is_recording_each(seconds: list[float]) -> None:
    """Recording a column equals recording each of its times."""
    one, other = Histogram(), Histogram()
    one.record_all(np.array(seconds))
    for value in seconds:
        other.record(value)
    assert one.counts() == other.counts()


def test_quantiles_of_a_known_run() -> None:
    """A quantile is the least time that the given share does not exceed."""
    found = Histogram()
    for ms in range(1, 1001):
        found.record(ms / 1000)
    for quantile, ms in [(0.5, 500), (0.99, 990), (1.0, 1000)]:
        seconds = found.quantile_s(quantile)
        assert seconds is not None
        assert ms / 1000 <= seconds <= ms / 1000 * 1.008


def test_empty_has_no_quantile() -> None:
    """An empty histogram has no quantile."""
    assert Histogram().quantile_s(0.99) is None


@given(st.lists(_times), st.lists(_times))
def test_sum_is_as_if_recorded_together(one: list[int], other: list[int]) -> None:
    """The sum of two histograms equals one that recorded all times."""
    parts, whole = (Histogram(), Histogram()), Histogram()
    for part, values in zip(parts, (one, other), strict=True):
        for us in values:
            part.record(us / 1e6)
            whole.record(us / 1e6)
    parts[0].add(parts[1])
    assert parts[0].counts() == whole.counts()


def test_count_within_counts_what_is_not_later() -> None:
    """`count_within` counts the times up to the limit, exact to one bucket."""
    found = Histogram()
    for seconds in (0.1, 0.9, 1.1, 5.0):
        found.record(seconds)
    assert found.count_within(1.0) == 2
