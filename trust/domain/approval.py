"""
Approval: what two officers sign before a wider version of a purpose is in force.

Pure. Each officer signs, with a key that only they have, the exact file, the policy in the file
and the widening as it was shown to them. The result is an admission, which trust signs and keeps
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
"""How long an approval counts: the officer still remembers the text that they read."""

Officers = Mapping[UUID, Known]


class ApprovalSubject(msgspec.Struct, frozen=True):
    """The digests that an approval is bound to."""

    purpose: str
    version: int
    file_sha256: str
    """Digest of the bytes of the policy file, in hexadecimal."""
    policy_sha256: str
    """Digest of the canonical policy in the file, as trust signs the policy."""
    widening_sha256: str
    """Digest of the widening, as it was shown to the officer."""


class PolicyApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The statement of one officer that they approve exactly these digests."""

    purpose: str
    version: int
    file_sha256: str
    policy_sha256: str
    widening_sha256: str
    approver: UUID
    approved_at: dt.datetime

    @property
    def subject(self) -> ApprovalSubject:
        """The digests that this approval is bound to."""
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
    """Loaded while the vault had no person and no officer."""
    NOT_WIDER = "not_wider"
    APPROVED = "approved"


class Admission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record, signed by trust, of how a version of a purpose came into force."""

    purpose: str
    version: int
    file_sha256: str
    policy_sha256: str
    how: AdmissionKind
    widens: list[str]
    """The sentences about the widening, as they were shown."""
    approvals: list[str]
    """SHA-256 of each approval that the admission relies on, in hexadecimal."""
    admitted_at: dt.datetime


def check_officer(officer: UUID, officers: Officers) -> Known:
    """
    Return the registered officer whose id is *officer*, if they are still an officer.

    Raises:
        Refused: There is no such officer, or they are no longer an officer.
    """
    known = officers.get(officer)
    if known is None:
        raise NotFound("officer", "See `vitalveil trust officer list`.")
    if known.ended_at is not None:
        raise Refused("that officer is one no more, and approves nothing")
    return known


def is_signed(signed: Signed, officers: Officers) -> PolicyApproval | None:
    """Return the approval in *signed* if the officer named in it signed it; otherwise None."""
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
    Return the approvals that count, at most one for each officer, keyed by the officer's id.

    Args:
        approvals: All approvals of that version.

        subject: The digests of the version that is to come into force.

        officers: All present and former officers.

        at: The current time.
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
    """Tell whether *approvals* has all that *admission* names, given by two people."""
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
