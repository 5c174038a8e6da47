"""Outcomes are closed sets."""

import pytest

from ingest.values.outcome import QuarantineReason, Reason, Verdict, ledger_code


def test_reasons_are_those_of_the_design() -> None:
    """The reasons have exactly the names that dashboards and alerts use."""
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
    """A reason has a code that is never 0, and the code gives the reason again."""
    assert reason.code > 0
    assert Reason.of(reason.code) is reason


@pytest.mark.parametrize(
    ("verdict", "code"), [(None, 0), (Reason.WITHDRAWN, 1), (QuarantineReason.POISON, 2)]
)
def test_ledger_code_is_what_the_schema_says(verdict: Verdict, code: int) -> None:
    """The codes of the ledger are 0 accepted, 1 refused, 2 quarantined."""
    assert ledger_code(verdict) == code
