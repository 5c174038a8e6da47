"""
Re-identification: a pseudonym gets its name back after two officers approve another's request.

Pure: a request and its approvals, each signed by an officer with a key that only they have, and
the rule that they must satisfy. Trust keeps no key that could replace two of the officers.
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
    """The role of an officer among the staff."""

    DPO = "dpo"
    PHYSICIAN = "physician"
    SECURITY = "security"
    OPERATOR = "operator"


DECIDING: Final = frozenset({OfficerRole.DPO, OfficerRole.PHYSICIAN})
"""At least one of the two approving officers must have one of these roles."""


class Basis(enum.StrEnum):
    """The grounds on which a pseudonym may be opened."""

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
    """An approval belongs to another text of the request than the stored one."""
    EXPIRED = "expired"
    REQUESTER_APPROVES = "requester_approves"
    SAME_PERSON = "same_person"
    TOO_FEW = "too_few"
    NO_DPO_OR_PHYSICIAN = "no_dpo_or_physician"
    REPLAYED = "replayed"
    """The request was opened before, and a request can be opened only once."""
    NOT_THE_REQUESTER = "not_the_requester"
    TOO_MANY = "too_many"
    """More requests than one person may make in a day."""
    UNSOUND = "unsound"
    """The request has no reason, no pseudonym or too many, or lasts too long."""


class Denied(Refused):
    """A re-identification is refused; the attempt is on record."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(f"re-identification is refused: {denial.replace('_', ' ')}")
        self.denial = denial


class Officer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the staff: their role and the key that they sign with. Holds no name."""

    officer: UUID
    role: OfficerRole
    public_key: str
    """The public key, Ed25519, in hexadecimal."""

    @property
    def key(self) -> Ed25519PublicKey:
        """The public key that verifies the signatures of this officer."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))


class Known(msgspec.Struct, frozen=True):
    """A registered officer, and whether they still are an officer."""

    officer: Officer
    ended_at: dt.datetime | None


class ReidentificationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to resolve pseudonyms: the requester, the pseudonyms and the reason."""

    request: UUID
    requester: UUID
    purpose: str
    pseudonyms: list[str]
    """The pseudonyms, in hexadecimal."""
    basis: Basis
    reason: str
    requested_at: dt.datetime
    expires_at: dt.datetime

    def __repr__(self) -> str:
        return "ReidentificationRequest(…)"


class ReidentificationApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The statement of one officer that they approve exactly this request."""

    request: UUID
    request_sha256: str
    approver: UUID
    approved_at: dt.datetime


class Signed(msgspec.Struct, frozen=True):
    """A canonical document and its signature."""

    document: bytes
    signature: bytes

    def __repr__(self) -> str:
        return "Signed(…)"


Officers = Mapping[UUID, Known]


def check_request(
    signed: Signed, officers: Officers, *, at: dt.datetime
) -> ReidentificationRequest:
    """
    Return the request in *signed* if it is valid *at* a time.

    Raises:
        Denied: The requester did not sign it, it asks for too much, or it has expired.
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
    Return the approval in *signed* of *request*, whose canonical bytes are *document*.

    Raises:
        Denied: It is no valid approval of this request.
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
    Return the request in *signed* if two officers other than the requester approved it.

    Args:
        signed: The request.

        approvals: All approvals of the request.

        officers: All present and former officers.

        at: The time at which the request is opened.

    Raises:
        Denied: The request may not be opened; the denial says why.
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
