"""
Decisions: what a person decided for a purpose; signed, never changed, only superseded.

The state of a purpose is the fold of its decisions. Without a decision the state is unknown, which
means no. A handle may carry the *narrowest* scope of all decisions since it was issued: a later
decision can narrow the scope and never widen it. So withdrawn data never return under an old
handle.
"""

import datetime as dt
import enum
import itertools
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from trust.domain import canonical
from trust.errors import Tampered

KIND = "decision"


class State(enum.StrEnum):
    """The state of a purpose after a decision."""

    UNKNOWN = "unknown"
    """The wish of the person is not known, which means no."""
    NOT_ASKED = "not_asked"
    """The person could not be asked, for example in an emergency."""
    NOT_CHOSEN = "not_chosen"
    """The person was shown the choice and left it open."""
    ACCEPTED = "accepted"
    DECLINED = "declined"
    """The person said not now, and may be asked again."""
    REFUSED = "refused"
    """The person said no, and must not be asked again."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """The person accepted for a time that is over."""
    INVALIDATED = "invalidated"
    """The decision is void: from the wrong person, or not validly given."""
    RESTRICTED = "restricted"
    """Data are kept and not processed (GDPR art. 18)."""


class GivenBy(enum.StrEnum):
    """The giver of a decision: the person, a representative, or both."""

    SELF = "self"
    GUARDIAN = "guardian"
    JOINT = "joint"
    PROXY = "proxy"
    NOT_STATED = "not-stated"
    """The giver was not stated; only a yes needs that evidence."""


class Attested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An officer's signature for a fact about the decision (see `trust.decisions.evidence`)."""

    officer: UUID
    signature: str
    """The signature, in hexadecimal."""


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    How a decision was put on record.

    A field that is not set is left out of the document: earlier documents have no such fields.
    """

    method: str
    """A word of `trust.decisions.evidence.Method`, or the text of an earlier release."""
    text_sha256: str | None = None
    """SHA-256 of the text that the person was shown."""
    locale: str | None = None
    scan_sha256: str | UnsetType = UNSET
    witness: Attested | UnsetType = UNSET


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision of one person for one purpose."""

    decision: UUID
    subject: UUID
    purpose: str
    version: int
    state: State
    quantities: list[str]
    recipients: list[str]
    decided_at: dt.datetime
    """When the person decided, as stated by the recorder; not later than the recording."""
    valid_from: dt.datetime
    given_by: GivenBy
    capture: Capture
    valid_to: dt.datetime | None = None
    supersedes: UUID | None = None
    """The previous decision of the same subject for the same purpose."""
    representative: UUID | None = None
    """The representative who decided with the person or for them."""
    representative_capture: Capture | UnsetType = UNSET
    """How the guardian's yes was put on record, if they decided together with the person."""
    representative_decided_at: dt.datetime | UnsetType = UNSET
    of_age: Attested | UnsetType = UNSET
    """The officer's signature that the person is of age, if the month of birth is unknown."""


class Scope(msgspec.Struct, frozen=True):
    """The quantities that may be measured, and the time in which they may be."""

    quantities: frozenset[str]
    valid_from: dt.datetime
    valid_to: dt.datetime | None

    def narrowed(self, other: "Scope") -> "Scope":
        """Return the scope that both this one and *other* allow."""
        ends = [end for end in (self.valid_to, other.valid_to) if end is not None]
        return Scope(
            self.quantities & other.quantities,
            max(self.valid_from, other.valid_from),
            min(ends, default=None),
        )


def encode(decision: Decision) -> bytes:
    """Return the canonical document of *decision*, which trust signs."""
    return canonical.encode(decision)


def decode(document: bytes) -> Decision:
    """
    Return the decision that *document* encodes.

    Raises:
        Tampered: The document is no decision.
    """
    return canonical.decode(document, Decision, what="a decision")


def current(decisions: Sequence[Decision]) -> Decision | None:
    """Return the decision in force, given all of one subject and purpose in their order."""
    return decisions[-1] if decisions else None


def state(decisions: Sequence[Decision], *, at: dt.datetime | None = None) -> State:
    """Return the state after *decisions*, *at* a time if given; without any, unknown."""
    latest = current(decisions)
    if latest is None:
        return State.UNKNOWN
    is_over = at is not None and latest.valid_to is not None and latest.valid_to <= at
    return State.EXPIRED if is_over and latest.state is State.ACCEPTED else latest.state


def scope_since(decisions: Sequence[Decision], first: UUID) -> Scope | None:
    """
    Return the scope of a handle issued under *first*, or None if the handle has ended.

    Args:
        decisions: All decisions of one subject and purpose, in their order.

        first: The id of the decision under which the handle was issued.
    """
    found: Scope | None = None
    started = False
    for decision in decisions:
        started = started or decision.decision == first
        if not started:
            continue
        if decision.state is not State.ACCEPTED:
            return None
        scope = Scope(frozenset(decision.quantities), decision.valid_from, decision.valid_to)
        found = scope if found is None else found.narrowed(scope)
    return found if found is not None and found.quantities else None


def before_restriction(decisions: Sequence[Decision]) -> Decision | None:
    """Return the newest of *decisions* that is no restriction, or None."""
    others = (d for d in reversed(decisions) if d.state is not State.RESTRICTED)
    return next(others, None)


def versions_since(decisions: Sequence[Decision], first: UUID) -> list[int]:
    """Return the versions of the purpose agreed to since the decision *first*, each once."""
    started = itertools.dropwhile(lambda decision: decision.decision != first, decisions)
    return list(dict.fromkeys(decision.version for decision in started))


def without_evidence(decision: Decision) -> Decision:
    """Return *decision* without its evidence, so that it claims no giver and no proof."""
    return msgspec.structs.replace(
        decision,
        given_by=GivenBy.NOT_STATED,
        capture=Capture("not-stated"),
        representative=None,
        representative_capture=UNSET,
        representative_decided_at=UNSET,
        of_age=UNSET,
    )


def withdrawal_of(accepted: Decision, *, at: dt.datetime) -> Decision:
    """
    Return the withdrawal of *accepted*, which still has the id of *accepted*.

    Anyone who could have agreed may withdraw, without showing a mandate again. The evidence of the
    yes does not apply to the withdrawal.
    """
    return msgspec.structs.replace(
        without_evidence(accepted),
        state=State.WITHDRAWN,
        quantities=[],
        decided_at=at,
        valid_from=at,
        valid_to=None,
    )


def chain(decisions: Sequence[Decision], *, subject: UUID, purpose: str) -> list[Decision]:
    """
    Return *decisions*, stored in this order under *subject* and *purpose*, if they form a chain.

    A signature alone does not reveal that a decision is missing, moved or of another person.

    Raises:
        Tampered: A decision is of another subject or purpose, or does not supersede the previous
            decision.
    """
    before: UUID | None = None
    for decision in decisions:
        is_theirs = (decision.subject, decision.purpose) == (subject, purpose)
        if not is_theirs or decision.supersedes != before:
            raise Tampered("a chain of decisions")
        before = decision.decision
    return list(decisions)
