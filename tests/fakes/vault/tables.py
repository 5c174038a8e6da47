"""The tables of a vault in memory, with the constraints that the schema of PostgreSQL has."""

import datetime as dt
from dataclasses import dataclass, field
from uuid import UUID

from trust.decisions.representatives import Representative
from trust.domain.due_dates import RightsRequest
from trust.domain.reidentify import Signed
from trust.domain.units import Cause, Work
from trust.errors import VaultUnavailable
from trust.vault.records.enrolments import Renewal
from trust.vault.records.erasures import Erasure
from trust.vault.records.requests import ExportRecord


@dataclass
class SubjectRow:
    """A person."""

    wrapped_key: bytes
    sealed: bytes
    added_at: dt.datetime
    erased_at: dt.datetime | None = None


@dataclass
class RepresentativeRow:
    """A person who decides for a subject."""

    value: Representative
    sealed: bytes
    ended_at: dt.datetime | None = None


@dataclass
class DecisionRow:
    """A signed decision."""

    decision: UUID
    subject: UUID
    purpose: str
    version: int
    supersedes: UUID | None
    document: bytes
    signature: bytes
    recorded_at: dt.datetime


@dataclass
class AgentRow:
    """A gateway, with its lease and pending changes."""

    format: str
    lease_key: bytes | None
    enrolled_at: dt.datetime
    wanted_at: dt.datetime
    revoked_at: dt.datetime | None = None
    cut_at: dt.datetime | None = None
    wanted: int = 1
    applied: int = 0
    lease_version: int = 0
    lease: bytes | None = None
    lease_not_after: dt.datetime | None = None
    due_at: dt.datetime | None = None
    published_version: int = 0
    reads_padded_since: dt.datetime | None = None
    unpadded_until: dt.datetime | None = None


@dataclass
class CertificateRow:
    """A certificate of a gateway."""

    agent: str
    not_after: dt.datetime
    revoked_at: dt.datetime | None = None


@dataclass
class HandleRow:
    """A stand-in of a person at a gateway."""

    subject: UUID
    agent: str
    epoch: int
    purpose: str
    decision: UUID
    sealed_bindings: bytes
    key_epoch: int
    issued_at: dt.datetime
    ended_at: dt.datetime | None = None
    unbound_at: dt.datetime | None = None
    sealed_unbound: bytes | None = None


@dataclass
class PurposeRow:
    """A version of a purpose."""

    signed: Signed
    loaded_at: dt.datetime


@dataclass
class SetAsideRow:
    """A unit that was set aside."""

    cause: Cause
    tried: int | None
    failed_since: dt.datetime
    next_attempt_at: dt.datetime
    failures: int = 1


@dataclass
class EpochRow:
    """A later epoch of a purpose's key."""

    started_at: dt.datetime
    moved_at: dt.datetime | None = None


@dataclass
class StepRow:
    """A step of an erasure that is done."""

    document: bytes
    signature: bytes


@dataclass
class ExportRow:
    """A file of a person's data."""

    record: ExportRecord
    made_at: dt.datetime
    deleted_at: dt.datetime | None = None


@dataclass
class OfficerRow:
    """An officer."""

    officer: UUID
    public_key: str
    signed: Signed
    ended_at: dt.datetime | None = None


@dataclass
class ReidentificationRow:
    """A request to re-identify."""

    requester: UUID
    signed: Signed
    requested_at: dt.datetime
    opened_at: dt.datetime | None = None
    approvals: list[tuple[UUID, Signed]] = field(default_factory=list)


@dataclass
class EnrolmentRow:
    """A token of enrolment."""

    secret_sha256: bytes
    format: str
    expires_at: dt.datetime
    failures: int = 0
    used_at: dt.datetime | None = None
    request_sha256: bytes | None = None
    agent: str | None = None
    certificate: bytes | None = None


@dataclass
class Tables:
    """
    Every table of a vault. They are copied when a transaction begins, and restored when
    it fails.
    """

    subjects: dict[UUID, SubjectRow] = field(default_factory=dict)
    rectifications: list[tuple[UUID, list[str], dt.datetime]] = field(default_factory=list)
    representatives: dict[UUID, RepresentativeRow] = field(default_factory=dict)
    purposes: dict[tuple[str, int], PurposeRow] = field(default_factory=dict)
    admissions: dict[tuple[str, int], Signed] = field(default_factory=dict)
    policy_approvals: dict[tuple[str, int], list[Signed]] = field(default_factory=dict)
    decisions: list[DecisionRow] = field(default_factory=list)
    agents: dict[str, AgentRow] = field(default_factory=dict)
    certificates: dict[int, CertificateRow] = field(default_factory=dict)
    clone_signs: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Whether an operator has examined the sign."""
    handles: dict[bytes, HandleRow] = field(default_factory=dict)
    set_aside: dict[tuple[Work, str, str, str], SetAsideRow] = field(default_factory=dict)
    epochs: dict[tuple[str, int], EpochRow] = field(default_factory=dict)
    erasures: dict[int, Erasure] = field(default_factory=dict)
    last_erasure: int = 0
    steps: dict[tuple[int, str], StepRow] = field(default_factory=dict)
    requests: dict[UUID, RightsRequest] = field(default_factory=dict)
    exports: dict[UUID, ExportRow] = field(default_factory=dict)
    officers: dict[UUID, OfficerRow] = field(default_factory=dict)
    reidentifications: dict[UUID, ReidentificationRow] = field(default_factory=dict)
    attempts: list[tuple[UUID | None, UUID | None, str, str, dt.datetime]] = field(
        default_factory=list
    )
    enrolments: dict[bytes, EnrolmentRow] = field(default_factory=dict)
    renewals: dict[int, tuple[int, Renewal]] = field(default_factory=dict)
    damaged: set[UUID] = field(default_factory=set)
    """Subjects of whom a row cannot be read."""
    damaged_leases: set[str] = field(default_factory=set)
    """Gateways whose lease cannot be read."""

    def read(self, subject: UUID) -> None:
        """
        Read a row of *subject*.

        Raises:
            VaultUnavailable: It is damaged.
        """
        if subject in self.damaged:
            raise VaultUnavailable("DataCorrupted XX001", is_of_a_row=True)


def require(holds: bool, constraint: str) -> None:
    """
    Return if *holds*.

    Raises:
        VaultUnavailable: A *constraint* of the schema refuses the row.
    """
    if not holds:
        raise VaultUnavailable(constraint, is_of_a_row=True)
