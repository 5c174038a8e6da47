"""Outcomes are closed sets."""

import pytest

from ingest.values.outcome import QuarantineReason, Reason, Verdict, ledger_code


def test_reasons_are_those_of_the_design() -> None:
    """Dashboards and alerts are written against exactly these names."""
    assert [str(reason) for reason in Reason] == [
        "malformed",
        "unsupported_version",
        "bad_seal",
        "unknown_agent",
        "wrong_topic",
        "unknown_handle",
        "not_permitted",
        "withdrawn",
        "outside_period",
        "lease_expired",
        "policy_exceeded",
        "implausible",
        "from_the_future",
        "too_old",
        "too_large",
        "agent_revoked",
        "agent_expired",
    ]


@pytest.mark.parametrize("reason", list(Reason))
def test_code_names_its_reason(reason: Reason) -> None:
    """A code is never 0, which stands for admitted, and leads back to its reason."""
    assert reason.code > 0
    assert Reason.of(reason.code) is reason


@pytest.mark.parametrize(
    ("verdict", "code"), [(None, 0), (Reason.WITHDRAWN, 1), (QuarantineReason.POISON, 2)]
)
def test_ledger_code_is_what_the_schema_says(verdict: Verdict, code: int) -> None:
    """0 accepted, 1 refused, 2 quarantined."""
    assert ledger_code(verdict) == code
