"""The steady rate of a round."""

import pytest

from benchmarks.errors import BenchError
from benchmarks.measurements.steady import steady
from benchmarks.world.database import Commit


def test_first_tenth_is_not_counted() -> None:
    """A slow start is not part of the rate."""
    commits = [Commit(0.0, 5), Commit(100.0, 5), *(Commit(100.0 + i, 10) for i in range(1, 10))]
    run = steady(commits)
    assert (run.first_s, run.last_s, run.units) == (100.0, 109.0, 90)
    assert run.rate == pytest.approx(10.0)


def test_one_commit_has_no_rate() -> None:
    """One commit has no rate, because it spans no time."""
    with pytest.raises(BenchError):
        steady([Commit(1.0, 10)])
