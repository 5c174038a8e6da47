"""Approval of a policy: two different officers, for exactly this policy."""

import datetime as dt
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trust.domain import canonical
from trust.domain.approval import (
    APPROVAL_KIND,
    LASTS,
    Admission,
    AdmissionKind,
    PolicyApproval,
    counting,
    rests_on,
)
from trust.domain.reidentify import Known, Officer, OfficerRole, Signed

AT = dt.datetime(2026, 6, 15, tzinfo=dt.UTC)
KEYS = {UUID(int=n): Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2)}
OFFICERS = {
    one: Known(Officer(one, OfficerRole.DPO, key.public_key().public_bytes_raw().hex()), None)
    for one, key in KEYS.items()
}
FIRST = PolicyApproval("care", 2, "aa" * 32, "bb" * 32, "cc" * 32, UUID(int=1), AT)


def sign(approval: PolicyApproval, by: UUID | None = None) -> Signed:
    """Return *approval*, signed by the officer that it names, or *by* another."""
    document = canonical.encode(approval)
    key = KEYS[by or approval.approver]
    return Signed(document, key.sign(canonical.to_sign(APPROVAL_KIND, document)))


SECOND = msgspec.structs.replace(FIRST, approver=UUID(int=2))


def admitted(*approvals: Signed) -> Admission:
    """Return an admission that rests on *approvals*."""
    digests = [canonical.digest(one.document).hex() for one in approvals]
    return Admission(
        "care", 2, "aa" * 32, "bb" * 32, AdmissionKind.APPROVED, ["more"], digests, AT
    )


@pytest.mark.parametrize(
    "approvals",
    [
        pytest.param([sign(FIRST)], id="one"),
        pytest.param([sign(FIRST), sign(FIRST)], id="one twice"),
        pytest.param(
            [sign(FIRST), sign(msgspec.structs.replace(FIRST, approved_at=AT + LASTS / 2))],
            id="one person, twice",
        ),
        pytest.param([sign(FIRST), sign(SECOND, UUID(int=1))], id="one for the other"),
        pytest.param(
            [sign(FIRST), sign(msgspec.structs.replace(SECOND, policy_sha256="dd" * 32))],
            id="of another policy",
        ),
        pytest.param(
            [sign(FIRST), sign(msgspec.structs.replace(SECOND, version=3))], id="another version"
        ),
    ],
)
def test_it_takes_two_people_and_this_policy(approvals: list[Signed]) -> None:
    """An admission without two officers' valid signatures for this policy is reported."""
    good = [sign(FIRST), sign(SECOND)]
    assert rests_on(admitted(*good), good, OFFICERS)
    assert not rests_on(admitted(*approvals), approvals, OFFICERS)
    assert not rests_on(admitted(*good), good[:1], OFFICERS)


def test_an_approval_counts_for_a_month() -> None:
    """An approval counts for a month, and not before it was given."""
    signed = [sign(FIRST)]

    def count(at: dt.datetime) -> int:
        return len(counting(signed, FIRST.subject, OFFICERS, at=at))

    assert (count(AT), count(AT + LASTS - dt.timedelta(seconds=1))) == (1, 1)
    assert (count(AT - dt.timedelta(seconds=1)), count(AT + LASTS)) == (0, 0)
