"""What an error means, and how long to wait."""

import random

import pytest

from ingest.failures import Backoff, Verdict, classify


@pytest.mark.parametrize(
    ("sqlstate", "verdict"),
    [
        pytest.param(None, Verdict.TRANSIENT, id="connection lost"),
        pytest.param("40P01", Verdict.TRANSIENT, id="deadlock"),
        pytest.param("53100", Verdict.TRANSIENT, id="disk full"),
        pytest.param("55P03", Verdict.TRANSIENT, id="lock not available"),
        pytest.param("57P01", Verdict.TRANSIENT, id="shutdown"),
        pytest.param("25006", Verdict.TRANSIENT, id="standby"),
        pytest.param("22003", Verdict.POISON, id="out of range"),
        pytest.param("23514", Verdict.POISON, id="check"),
        pytest.param("42P01", Verdict.FATAL, id="no such table"),
        pytest.param("42501", Verdict.FATAL, id="no grant"),
        pytest.param("28P01", Verdict.FATAL, id="password"),
    ],
)
def test_classify(sqlstate: str | None, verdict: Verdict) -> None:
    """Waiting helps, or splitting helps, or only a person helps."""
    assert classify(sqlstate) is verdict


def test_backoff_doubles_its_ceiling_up_to_a_limit() -> None:
    """Waits spread over all of a ceiling that grows, so that many do not come back together."""
    backoff = Backoff(random.Random(1), first_s=1.0, limit_s=8.0)
    for ceiling in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert 0.0 <= backoff.next_s() <= ceiling
    backoff.reset()
    assert backoff.next_s() <= 1.0
    waits = [Backoff(random.Random(seed), first_s=1.0).next_s() for seed in range(50)]
    assert min(waits) < 0.2 < 0.8 < max(waits)
