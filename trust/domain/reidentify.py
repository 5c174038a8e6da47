"""
Re-identification: a pseudonym gets its name back, and that takes two beside the one who asks.

Pure: a request and its approvals, each signed by a person with a key that only she has, and the
rule that they must satisfy. No key that could stand in for two of them is kept by trust.
"""

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trust.domain import canonical
from trust.errors import Refused, Tampered

T = TypeVar("T", bound=msgspec.Struct)

REQUEST_KIND: Final = "reidentification"
APPROVAL_KIND: Final = "reidentification approval"
MAX_PSEUDONYMS: Final = 20
MIN_REASON: Final = 20
LONGEST: Final = dt.timedelta(days=7)
APPROVALS: Final = 2


class OfficerRole(enum.StrEnum):
    """What somebody of the staff is."""

    DPO = "dpo"
    PHYSICIAN = "physician"
    SECURITY = "security"
    OPERATOR = "operator"


DECIDING: Final = frozenset({OfficerRole.DPO, OfficerRole.PHYSICIAN})
"""One of the two who approve is one of these."""


class Basis(enum.StrEnum):
    """What a pseudonym may be opened for."""

    VITAL_INTERESTS = "vital_interests"
    CARE = "care"
    RIGHTS_REQUEST = "rights_request"
    SAFETY = "safety"
    INCIDENT = "incident"


class Denial(enum.StrEnum):
    """Why a re-identification is refused."""

    NO_SUCH_REQUEST = "no_such_request"
    UNKNOWN_OFFICER = "unknown_officer"
    OFFICER_ENDED = "officer_ended"
    BAD_SIGNATURE = "bad_signature"
    ALTERED = "altered"
    """An approval is of another text of the request than the one that is there."""
    EXPIRED = "expired"
    REQUESTER_APPROVES = "requester_approves"
    SAME_PERSON = "same_person"
    TOO_FEW = "too_few"
    NO_DPO_OR_PHYSICIAN = "no_dpo_or_physician"
    REPLAYED = "replayed"
    """It was opened before: once is all."""
    NOT_THE_REQUESTER = "not_the_requester"
    TOO_MANY = "too_many"
    """More requests than one person may make in a day."""
    UNSOUND = "unsound"
    """The request lacks a reason, names no pseudonym or too many, or lasts too long."""


class Denied(Refused):
    """A re-identification is refused; that it was tried is on record."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(f"re-identification is refused: {denial.replace('_', ' ')}")
        self.denial = denial


class Officer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody of the staff: what she is, and the key that she signs with. Holds no name."""

    officer: UUID
    role: OfficerRole
    public_key: str
    """Ed25519, in hexadecimal."""

    @property
    def key(self) -> Ed25519PublicKey:
        """The key."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))


class Known(msgspec.Struct, frozen=True):
    """An officer, and whether she still is one."""

    officer: Officer
    ended_at: dt.datetime | None


class ReidentificationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants to know whose pseudonyms these are, and why."""

    request: UUID
    requester: UUID
    purpose: str
    pseudonyms: list[str]
    """In hexadecimal."""
    basis: Basis
    reason: str
    requested_at: dt.datetime
    expires_at: dt.datetime

    def __repr__(self) -> str:
        return "Request(…)"


class ReidentificationApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That somebody approves exactly this request."""

    request: UUID
    request_sha256: str
    approver: UUID
    approved_at: dt.datetime


class Signed(msgspec.Struct, frozen=True):
    """A document with its signature."""

    document: bytes
    signature: bytes

    def __repr__(self) -> str:
        return "Signed(…)"


Officers = Mapping[UUID, Known]


def check_request(
    signed: Signed, officers: Officers, *, at: dt.datetime
) -> ReidentificationRequest:
    """
    Return the request that *signed* is.

    Raises:
        Denied: It was not made by who it says, asks for too much, or is over.
    """
    request = _decode(signed.document, ReidentificationRequest)
    _verify(signed, REQUEST_KIND, request.requester, officers)
    is_sound = (
        1 <= len(request.pseudonyms) <= MAX_PSEUDONYMS
        and len(request.reason.strip()) >= MIN_REASON
        and request.requested_at < request.expires_at <= request.requested_at + LONGEST
    )
    if not is_sound:
        raise Denied(Denial.UNSOUND)
    if not request.requested_at <= at < request.expires_at:
        raise Denied(Denial.EXPIRED)
    return request


def check_approval(
    signed: Signed, request: ReidentificationRequest, document: bytes, officers: Officers
) -> ReidentificationApproval:
    """
    Return the approval that *signed* is, of *request* as *document* spells it.

    Raises:
        Denied: It is none.
    """
    approval = _decode(signed.document, ReidentificationApproval)
    _verify(signed, APPROVAL_KIND, approval.approver, officers)
    is_this = approval.request_sha256 == canonical.digest(document).hex()
    if approval.request != request.request or not is_this:
        raise Denied(Denial.ALTERED)
    if approval.approver == request.requester:
        raise Denied(Denial.REQUESTER_APPROVES)
    if not request.requested_at <= approval.approved_at < request.expires_at:
        raise Denied(Denial.EXPIRED)
    return approval


def check(
    signed: Signed, approvals: Sequence[Signed], officers: Officers, *, at: dt.datetime
) -> ReidentificationRequest:
    """
    Return the request that *signed* is, if two others approved it.

    Args:
        signed: The request.

        approvals: Of it.

        officers: Everybody who is or was one.

        at: When it is to be opened.

    Raises:
        Denied: It may not be opened.
    """
    request = check_request(signed, officers, at=at)
    approvers = [
        check_approval(approval, request, signed.document, officers).approver
        for approval in approvals
    ]
    if len(set(approvers)) < len(approvers):
        raise Denied(Denial.SAME_PERSON)
    if len(approvers) < APPROVALS:
        raise Denied(Denial.TOO_FEW)
    if not any(officers[approver].officer.role in DECIDING for approver in approvers):
        raise Denied(Denial.NO_DPO_OR_PHYSICIAN)
    return request


def _decode(document: bytes, kind: type[T]) -> T:
    try:
        return canonical.decode(document, kind, what="a request")
    except Tampered:
        raise Denied(Denial.ALTERED) from None


def _verify(signed: Signed, kind: str, by: UUID, officers: Officers) -> None:
    known = officers.get(by)
    if known is None:
        raise Denied(Denial.UNKNOWN_OFFICER)
    if known.ended_at is not None:
        raise Denied(Denial.OFFICER_ENDED)
    try:
        known.officer.key.verify(signed.signature, canonical.to_sign(kind, signed.document))
    except InvalidSignature:
        raise Denied(Denial.BAD_SIGNATURE) from None
