"""The verdict on an envelope, one case for each reason."""

import pytest

from ingest.admission.permissions import Permissions
from ingest.values.delivery import Opened
from ingest.values.outcome import QuarantineReason, Reason, Verdict
from tests.fakes.ingest import NOW_MS, block, knowing, opened, permission
from tests.support.benches.admission import DAY_MS, MINUTE, decide
from wire.quantities import MISSING, Code


def faulty(reason: Reason) -> Opened:
    """Return a delivery that did not open."""
    one = opened(block(70))
    one.body, one.fault = None, reason
    return one


def of_another_agent() -> Opened:
    """Return a delivery of an unknown agent."""
    one = opened(block(70))
    one.agent = "f" * 16
    return one


CASES: list[tuple[str, Opened, Permissions, Verdict]] = [
    ("honest", opened(block(70)), knowing(permission()), None),
    ("unknown agent", of_another_agent(), knowing(permission()), Reason.UNKNOWN_AGENT),
    ("revoked", opened(block(70)), knowing(permission(), format=None), Reason.AGENT_REVOKED),
    (
        "revoked, and it does not open",
        faulty(Reason.BAD_SEAL),
        knowing(permission(), format=None),
        Reason.AGENT_REVOKED,
    ),
    (
        "revoked and expired",
        opened(block(70)),
        knowing(permission(), format=None, expires_at_ms=NOW_MS),
        Reason.AGENT_REVOKED,
    ),
    (
        "expired",
        opened(block(70)),
        knowing(permission(), expires_at_ms=NOW_MS),
        Reason.AGENT_EXPIRED,
    ),
    ("expires soon", opened(block(70)), knowing(permission(), expires_at_ms=NOW_MS + 1), None),
    ("fault", faulty(Reason.TOO_LARGE), knowing(permission()), Reason.TOO_LARGE),
    ("bad seal", faulty(Reason.BAD_SEAL), knowing(permission()), QuarantineReason.BAD_SEAL),
    ("JSON uninvited", opened(block(70), is_json=True), knowing(permission()), Reason.MALFORMED),
    (
        "JSON without a lease",
        opened(block(70), is_json=True, lease=0),
        knowing(permission(), format="json"),
        None,
    ),
    (
        "sealed without a lease",
        opened(block(70), lease=0),
        knowing(permission()),
        Reason.LEASE_EXPIRED,
    ),
    (
        "no such handle",
        opened(block(70), handle=b"?" * 16),
        knowing(permission()),
        Reason.UNKNOWN_HANDLE,
    ),
    (
        "foreign handle",
        opened(block(70)),
        knowing(permission(agent="f" * 16)),
        Reason.UNKNOWN_HANDLE,
    ),
    (
        "quantity",
        opened(block(70, quantity=Code.SPO2)),
        knowing(permission()),
        Reason.NOT_PERMITTED,
    ),
    (
        "quantity nobody knows",
        opened(block(70, quantity=999)),
        knowing(permission()),
        Reason.NOT_PERMITTED,
    ),
    ("withdrawn", opened(block(70)), knowing(permission(is_withdrawn=True)), Reason.WITHDRAWN),
    (
        "withdrawn and ended",
        opened(block(70)),
        knowing(permission(is_withdrawn=True, valid_to_ms=5)),
        Reason.WITHDRAWN,
    ),
    (
        "ended before it was measured",
        opened(block(70)),
        knowing(permission(valid_to_ms=5)),
        Reason.OUTSIDE_PERIOD,
    ),
    (
        "ended since it was measured",
        opened(block(70)),
        knowing(permission(valid_to_ms=NOW_MS)),
        Reason.OUTSIDE_PERIOD,
    ),
    ("no such lease", opened(block(70), lease=3), knowing(permission()), Reason.LEASE_EXPIRED),
    (
        "future",
        opened(block(70, start_ms=NOW_MS + 5001)),
        knowing(permission()),
        Reason.FROM_THE_FUTURE,
    ),
    ("nearly future", opened(block(70, start_ms=NOW_MS + 5000)), knowing(permission()), None),
    (
        "ancient",
        opened(block(70, start_ms=NOW_MS - 30 * DAY_MS - 1)),
        knowing(permission()),
        Reason.TOO_OLD,
    ),
    (
        "nearly ancient",
        opened(block(70, start_ms=NOW_MS - 30 * DAY_MS)),
        knowing(permission()),
        None,
    ),
    ("too low", opened(block(70, 19)), knowing(permission()), Reason.IMPLAUSIBLE),
    ("too high", opened(block(301, 70)), knowing(permission()), Reason.IMPLAUSIBLE),
    ("a gap is not a value", opened(block(70, MISSING, 71)), knowing(permission()), None),
    (
        "finer value",
        opened(block(70, 71)),
        knowing(permission(rule=(5, 1, 1))),
        Reason.POLICY_EXCEEDED,
    ),
    (
        "finer time",
        opened(block(70, start_ms=NOW_MS - 999)),
        knowing(permission(rule=(1, 1000, 1000))),
        Reason.POLICY_EXCEEDED,
    ),
    (
        "two in an interval",
        opened(block(70, 71)),
        knowing(permission(rule=MINUTE)),
        Reason.POLICY_EXCEEDED,
    ),
]


@pytest.mark.parametrize(
    ("one", "permissions", "verdict"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_verdict(one: Opened, permissions: Permissions, verdict: Verdict) -> None:
    """Each rule refuses exactly its own case, with its own reason."""
    admission = decide(one, permissions=permissions)
    assert admission.verdicts == [verdict]
    stored = (
        sum(v != MISSING for b in one.body.blocks for v in b.unpacked_values())
        if (one.body and verdict is None)
        else 0
    )
    assert len(admission.rows) == stored
