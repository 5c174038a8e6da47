"""The classes of database errors."""

import pytest

from ingest.values.failures import Verdict, classify


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
    """Each error is classified: wait and retry, split the flush, or exit for an operator."""
    assert classify(sqlstate) is verdict
