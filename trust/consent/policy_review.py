"""
Policy review: a wider version comes into force after two officers approved exactly this version.

A version is compared with the newest version and with each version that people decided on.
Sentences say what the new version allows in addition. An approval covers the file, the policy and
these sentences. So it does not count for another file, or after another version was loaded.
"""

import datetime as dt
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trust.consent import widening
from trust.consent.widening import Kind, Widening
from trust.domain import approval, canonical, policy_file
from trust.domain.approval import (
    APPROVAL_KIND,
    APPROVALS,
    Admission,
    AdmissionKind,
    ApprovalSubject,
    PolicyApproval,
)
from trust.domain.durations import whole_ms
from trust.domain.purposes import Purpose
from trust.domain.reidentify import Signed
from trust.errors import Conflict, PolicyError, Refused
from trust.ports import Clock
from trust.vault.protocols import Records, Vault

_HOW_TO_APPROVE: Final = (
    "Each reads the file and what it widens (`vitalveil trust policy check FILE`) and signs both:"
    " `vitalveil trust policy approve FILE --officer ID --key FILE.key`"
)


class PolicyComparison(msgspec.Struct, frozen=True):
    """The policy in a file, and in what it is wider than the versions in force."""

    purpose: Purpose
    subject: ApprovalSubject
    widens: list[Widening]
    is_loaded: bool
    """Whether this version is already loaded with the same contents."""
    approvers: list[UUID]
    """The officers whose approvals count."""


class PolicyReview:
    """
    Compares, approves and loads versions of purposes.

    Args:
        vault: The vault that keeps purposes, officers and approvals.

        clock: Tells the time.
    """

    def __init__(self, vault: Vault, *, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def look(self, file: bytes) -> PolicyComparison:
        """
        Compare the policy in *file* with the versions in force, without storing anything.

        Raises:
            Refused: The file is no policy, or its version may not follow the newest one.
        """
        with self._vault.transaction() as records:
            return _look(records, file, at=self._clock())

    def approve(self, file: bytes, officer: UUID, key: Ed25519PrivateKey) -> PolicyComparison:
        """
        Approve *file* and its widening as *officer*; return the comparison after the approval.

        Raises:
            Refused: That person may not approve, or the file needs no approval.
        """
        now = whole_ms(self._clock())
        with self._vault.transaction() as records:
            looked = _look(records, file, at=now)
            if looked.is_loaded:
                raise Conflict(
                    f"{looked.purpose.reference} is loaded: there is nothing to approve"
                )
            if not looked.widens:
                raise Refused(f"{looked.purpose.reference} widens nothing: it needs no approval")
            known = approval.check_officer(officer, records.officers.all())
            if known.officer.key != key.public_key():
                raise Refused("the key is not that officer's")
            if officer in looked.approvers:
                raise Conflict(
                    "that officer has approved it already. A different officer has to approve it"
                    " as well"
                )
            given = PolicyApproval(
                **msgspec.structs.asdict(looked.subject), approver=officer, approved_at=now
            )
            document = canonical.encode(given)
            signature = key.sign(canonical.to_sign(APPROVAL_KIND, document))
            records.admissions.add_approval(given, Signed(document, signature))
            return _look(records, file, at=now)

    def load(self, file: bytes, *, first: bool) -> tuple[PolicyComparison, bool]:
        """
        Load *file* if it widens nothing or two officers approved it.

        Args:
            file: The bytes of the policy file.

            first: Load without approvals, which is possible until there is a person or an officer.

        Returns:
            The comparison, and whether the version is new.

        Raises:
            Refused: The version may not be loaded; the error says what it would widen.
        """
        now = whole_ms(self._clock())
        with self._vault.transaction() as records:
            looked = _look(records, file, at=now)
            if looked.is_loaded:
                return looked, False
            # Other decisions and loads wait for this lock, so the compared versions do not change.
            records.purposes.lock(looked.purpose.name)
            looked = _look(records, file, at=now)
            admission = _admission(records, looked, first=first, at=now)
            if not records.purposes.add(looked.purpose):
                raise Conflict("another process has loaded that version meanwhile")
            records.admissions.admit(admission)
        return looked, True


def _look(records: Records, file: bytes, *, at: dt.datetime) -> PolicyComparison:
    try:
        purpose = policy_file.parse(file.decode())
    except UnicodeDecodeError:
        raise PolicyError("file", "not UTF-8", "Save it as UTF-8.") from None
    versions = records.purposes.versions(purpose.name)
    loaded = purpose.version in versions
    if loaded and records.purposes.get(purpose.name, purpose.version) != purpose:
        raise Conflict(
            f"{purpose.reference} is loaded with other contents, which people may have consented"
            " to. Give the changed policy a new version"
        )
    if not loaded and versions and purpose.version < versions[0]:
        raise Conflict(
            f"{purpose.name}@{versions[0]} is loaded, and versions count up: give it a higher one"
        )
    compared = {*versions[:1], *records.admissions.decided_on(purpose.name)} - {purpose.version}
    others = [records.purposes.get(purpose.name, version) for version in sorted(compared)]
    widens = [] if loaded else widening.widenings(purpose, others)
    subject = ApprovalSubject(
        purpose.name,
        purpose.version,
        canonical.digest(file).hex(),
        canonical.digest(canonical.encode(purpose)).hex(),
        widening.digest(widens),
    )
    counting = approval.counting(
        records.admissions.approvals(purpose.name, purpose.version),
        subject,
        records.officers.all(),
        at=at,
    )
    return PolicyComparison(purpose, subject, widens, loaded, list(counting))


def _admission(
    records: Records, looked: PolicyComparison, *, first: bool, at: dt.datetime
) -> Admission:
    how, digests = AdmissionKind.NOT_WIDER, []
    if looked.widens and first:
        if not records.admissions.is_fresh():
            raise Refused(
                "--first is for an installation where there never was a person or an officer, and"
                f" here was one: {_refusal(looked)}"
            )
        how = AdmissionKind.FIRST
    elif looked.widens:
        if len(looked.approvers) < APPROVALS:
            raise Refused(_refusal(looked))
        how = AdmissionKind.APPROVED
        there = records.admissions.approvals(looked.purpose.name, looked.purpose.version)
        counting = approval.counting(there, looked.subject, records.officers.all(), at=at)
        digests = [canonical.digest(one.document).hex() for one in counting.values()]
    return Admission(
        purpose=looked.purpose.name,
        version=looked.purpose.version,
        file_sha256=looked.subject.file_sha256,
        policy_sha256=looked.subject.policy_sha256,
        how=how,
        widens=[one.sentence for one in looked.widens],
        approvals=digests,
        admitted_at=at,
    )


def _refusal(looked: PolicyComparison) -> str:
    is_first = looked.widens[0].kind is Kind.FIRST
    what = "is the first version, and all of it is new" if is_first else "widens what was agreed"
    words = "; ".join(one.sentence for one in looked.widens)
    return (
        f"{looked.purpose.reference} {what}: {words}. It comes into force once {APPROVALS}"
        f" officers approved it, and {len(looked.approvers)} did. {_HOW_TO_APPROVE}"
        + (". On a fresh installation, without people and officers, give --first" * is_first)
    )
