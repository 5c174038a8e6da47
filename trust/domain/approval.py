"""
Approval: what two officers sign before a wider version of a purpose is in force.

Pure. Each signs, with a key that only they have, the very file, the policy that it spells and the
widening as it was shown to them. What comes of it is an admission, which trust signs and keeps
beside the version.
"""

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature

from trust.domain import canonical
from trust.domain.reidentify import Known, Signed
from trust.errors import NotFound, Refused, Tampered

APPROVAL_KIND: Final = "policy approval"
ADMISSION_KIND: Final = "policy admission"
APPROVALS: Final = 2
LASTS: Final = dt.timedelta(days=30)
"""How long an approval counts: whoever gave it remembers what they read."""

Officers = Mapping[UUID, Known]


class ApprovalSubject(msgspec.Struct, frozen=True):
    """What is approved."""

    purpose: str
    version: int
    file_sha256: str
    """Of the file, byte for byte."""
    policy_sha256: str
    """Of the policy that it spells, as it is signed."""
    widening_sha256: str
    """Of the widening, as it was shown."""


class PolicyApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That an officer approves exactly this."""

    purpose: str
    version: int
    file_sha256: str
    policy_sha256: str
    widening_sha256: str
    approver: UUID
    approved_at: dt.datetime

    @property
    def subject(self) -> ApprovalSubject:
        """What is approved."""
        return ApprovalSubject(
            self.purpose,
            self.version,
            self.file_sha256,
            self.policy_sha256,
            self.widening_sha256,
        )


class AdmissionKind(enum.StrEnum):
    """How a version came into force."""

    FIRST = "first"
    """Before there were people and officers."""
    NOT_WIDER = "not_wider"
    APPROVED = "approved"


class Admission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a version of a purpose came into force; signed by trust."""

    purpose: str
    version: int
    file_sha256: str
    policy_sha256: str
    how: AdmissionKind
    widens: list[str]
    """In the words that were shown."""
    approvals: list[str]
    """SHA-256 of each approval that it rests on."""
    admitted_at: dt.datetime


def check_officer(officer: UUID, officers: Officers) -> Known:
    """
    Return an officer who is one.

    Raises:
        Refused: There is no such officer, or not any more.
    """
    known = officers.get(officer)
    if known is None:
        raise NotFound("officer", "See `vitalveil trust officer list`.")
    if known.ended_at is not None:
        raise Refused("that officer is one no more, and approves nothing")
    return known


def is_signed(signed: Signed, officers: Officers) -> PolicyApproval | None:
    """Return the approval that *signed* is, if who it names signed it; None otherwise."""
    try:
        approval = canonical.decode(signed.document, PolicyApproval, what="an approval")
    except Tampered:
        return None
    known = officers.get(approval.approver)
    if known is None:
        return None
    try:
        known.officer.key.verify(
            signed.signature, canonical.to_sign(APPROVAL_KIND, signed.document)
        )
    except InvalidSignature:
        return None
    return approval


def counting(
    approvals: Sequence[Signed], subject: ApprovalSubject, officers: Officers, *, at: dt.datetime
) -> dict[UUID, Signed]:
    """
    Return those of *approvals* that count, by who gave them; one of each officer.

    Args:
        approvals: Of that version.

        subject: What is to come into force.

        officers: Everybody who is or was one.

        at: Now.
    """
    found = {}
    for signed in approvals:
        approval = is_signed(signed, officers)
        if approval is None or approval.subject != subject:
            continue
        is_fresh = approval.approved_at <= at < approval.approved_at + LASTS
        if is_fresh and officers[approval.approver].ended_at is None:
            found[approval.approver] = signed
    return found


def rests_on(admission: Admission, approvals: Sequence[Signed], officers: Officers) -> bool:
    """Tell whether the approvals that *admission* names are there, and two people gave them."""
    if admission.how is not AdmissionKind.APPROVED:
        return not admission.approvals
    there = {canonical.digest(one.document).hex(): one for one in approvals}
    named = [there.get(one) for one in admission.approvals]
    given = [None if one is None else is_signed(one, officers) for one in named]
    if any(
        one is None
        or (one.purpose, one.version) != (admission.purpose, admission.version)
        or one.policy_sha256 != admission.policy_sha256
        for one in given
    ):
        return False
    return len({one.approver for one in given if one is not None}) >= APPROVALS
