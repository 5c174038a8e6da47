"""The two-person rule: who may approve, and which approvals are not valid."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trust.domain import canonical, reidentify
from trust.domain.reidentify import (
    APPROVAL_KIND,
    REQUEST_KIND,
    Basis,
    Denial,
    Denied,
    Known,
    Officer,
    OfficerRole,
    ReidentificationApproval,
    ReidentificationRequest,
    Signed,
)

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ROLES = {
    1: OfficerRole.OPERATOR,
    2: OfficerRole.DPO,
    3: OfficerRole.SECURITY,
    4: OfficerRole.PHYSICIAN,
    5: OfficerRole.SECURITY,
}
KEYS = {n: Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in ROLES}
OFFICERS = {
    UUID(int=n): Known(
        Officer(UUID(int=n), role, KEYS[n].public_key().public_bytes_raw().hex()), None
    )
    for n, role in ROLES.items()
}
REQUEST = ReidentificationRequest(
    request=UUID(int=100),
    requester=UUID(int=1),
    purpose="home-monitoring",
    pseudonyms=["00" * 16],
    basis=Basis.SAFETY,
    reason="a dangerous fall of glucose, seen by the night shift",
    requested_at=T0,
    expires_at=T0 + 24 * HOUR,
)


def sign(kind: str, value: msgspec.Struct, by: int) -> Signed:
    """Return *value*, signed by an officer."""
    document = canonical.encode(value)
    return Signed(document, KEYS[by].sign(canonical.to_sign(kind, document)))


def request(by: int = 1, **changes: Any) -> Signed:
    """Return a request."""
    return sign(REQUEST_KIND, msgspec.structs.replace(REQUEST, **changes), by)


def approve(
    by: int, of: Signed | None = None, *, as_: int | None = None, **changes: Any
) -> Signed:
    """Return an approval, signed *by* an officer who claims to be *as_*."""
    document = (of or request()).document
    approval = ReidentificationApproval(
        UUID(int=100), canonical.digest(document).hex(), UUID(int=as_ or by), T0 + HOUR
    )
    return sign(APPROVAL_KIND, msgspec.structs.replace(approval, **changes), by)


def check(
    asked: Signed, *approvals: Signed, at: dt.datetime = T0 + 2 * HOUR
) -> ReidentificationRequest:
    """Check the rule."""
    return reidentify.check(asked, approvals, OFFICERS, at=at)


@pytest.mark.parametrize("approvers", [(2, 3), (3, 2), (4, 5), (2, 4)])
def test_two_others_open_it(approvers: tuple[int, int]) -> None:
    """Two officers besides the requester, one of them DPO or physician, open a request."""
    assert check(request(), *map(approve, approvers)) == REQUEST


@pytest.mark.parametrize(
    ("attempt", "denial"),
    [
        pytest.param(lambda: check(request()), Denial.TOO_FEW, id="nobody"),
        pytest.param(lambda: check(request(), approve(2)), Denial.TOO_FEW, id="one"),
        pytest.param(
            lambda: check(request(), approve(2), approve(2)), Denial.SAME_PERSON, id="twice"
        ),
        pytest.param(
            lambda: check(request(), approve(2), approve(1)), Denial.REQUESTER_APPROVES,
            id="the requester",
        ),
        pytest.param(
            lambda: check(request(), approve(3), approve(5)), Denial.NO_DPO_OR_PHYSICIAN,
            id="neither DPO nor physician",
        ),
        pytest.param(
            lambda: check(request(), approve(2), approve(3), at=T0 + 24 * HOUR), Denial.EXPIRED,
            id="too late",
        ),
        pytest.param(
            lambda: check(request(), approve(2), approve(3, approved_at=T0 - HOUR)),
            Denial.EXPIRED, id="approved before it was asked",
        ),
        pytest.param(
            lambda: check(
                request(pseudonyms=["00" * 16, "11" * 16]), approve(2), approve(3)
            ),
            Denial.ALTERED, id="altered list",
        ),
        pytest.param(
            lambda: check(request(), approve(2), approve(3, request=UUID(int=101))),
            Denial.ALTERED, id="replayed from another request",
        ),
        pytest.param(
            lambda: check(request(), approve(2), approve(5, as_=3)), Denial.BAD_SIGNATURE,
            id="in another's name",
        ),
        pytest.param(
            lambda: check(request(by=3), approve(2), approve(4)), Denial.BAD_SIGNATURE,
            id="asked in another's name",
        ),
        pytest.param(
            lambda: check(request(), approve(2), request()), Denial.ALTERED,
            id="a request as approval",
        ),
        pytest.param(
            lambda: check(request(), approve(2), approve(3, approver=UUID(int=77))),
            Denial.UNKNOWN_OFFICER, id="a stranger",
        ),
        pytest.param(lambda: check(request(pseudonyms=[])), Denial.UNSOUND, id="of nobody"),
        pytest.param(
            lambda: check(request(pseudonyms=["00" * 16] * 21)), Denial.UNSOUND, id="of too many"
        ),
        pytest.param(lambda: check(request(reason="because")), Denial.UNSOUND, id="no reason"),
        pytest.param(
            lambda: check(request(expires_at=T0 + 200 * HOUR)), Denial.UNSOUND, id="too long"
        ),
    ],
)  # fmt: skip
def test_each_breach_of_the_rule_is_refused(
    attempt: Callable[[], ReidentificationRequest], denial: Denial
) -> None:
    """Each violation of the rule is refused with its own reason."""
    with pytest.raises(Denied) as denied:
        attempt()
    assert denied.value.denial is denial


def test_a_flipped_bit_is_refused() -> None:
    """A request or approval with any flipped bit does not verify."""
    asked, approvals = request(), [approve(2), approve(3)]
    for target in (asked, approvals[1]):
        for bit in range(0, 8 * len(target.document), 7):
            document = bytearray(target.document)
            document[bit // 8] ^= 1 << bit % 8
            broken = Signed(bytes(document), target.signature)
            with pytest.raises(Denied):
                check(
                    broken if target is asked else asked,
                    approvals[0],
                    broken if target is not asked else approvals[1],
                )


def test_who_left_approves_nothing() -> None:
    """A former officer cannot approve."""
    officers = {**OFFICERS, UUID(int=2): Known(OFFICERS[UUID(int=2)].officer, T0)}
    with pytest.raises(Denied) as denied:
        reidentify.check(request(), [approve(2), approve(3)], officers, at=T0 + HOUR)
    assert denied.value.denial is Denial.OFFICER_ENDED
