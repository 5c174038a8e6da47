"""
Decisions: what a person decided, for a purpose; signed, never changed, only superseded.

The state of a purpose is the fold of its decisions; where there is none it is unknown, which means
no. What a handle may carry is the *narrowest* of all decisions since it was issued: a later one
can take away from it and never add, so that nothing withdrawn comes back under an old handle.
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
    """What was decided."""

    UNKNOWN = "unknown"
    """Nothing is known of what the person wants: no."""
    NOT_ASKED = "not_asked"
    """Nobody could ask, as in an emergency."""
    NOT_CHOSEN = "not_chosen"
    """The person was shown the choice and left it open."""
    ACCEPTED = "accepted"
    DECLINED = "declined"
    """Not now; the person may be asked again."""
    REFUSED = "refused"
    """No; the person is not to be asked again."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """Accepted once, for a time that is over."""
    INVALIDATED = "invalidated"
    """Found void: the wrong person, or not validly given."""
    RESTRICTED = "restricted"
    """Kept, and not processed (GDPR art. 18)."""


class GivenBy(enum.StrEnum):
    """Who decided."""

    SELF = "self"
    GUARDIAN = "guardian"
    JOINT = "joint"
    PROXY = "proxy"
    NOT_STATED = "not-stated"
    """Nobody said: of what is no yes, which takes no evidence."""


class Attested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That an officer vouches for something about the decision (`trust.decisions.evidence`)."""

    officer: UUID
    signature: str
    """In hexadecimal."""


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    How it was put on record.

    What is not set stands in no document: those of before have neither.
    """

    method: str
    """A word of `trust.decisions.evidence.Method`, or what was written before there were any."""
    text_sha256: str | None = None
    """Of the text that the person was shown."""
    locale: str | None = None
    scan_sha256: str | UnsetType = UNSET
    witness: Attested | UnsetType = UNSET


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision of one person."""

    decision: UUID
    subject: UUID
    purpose: str
    version: int
    state: State
    quantities: list[str]
    recipients: list[str]
    decided_at: dt.datetime
    """When the person decided, as who recorded it says; it was recorded later, or then."""
    valid_from: dt.datetime
    given_by: GivenBy
    capture: Capture
    valid_to: dt.datetime | None = None
    supersedes: UUID | None = None
    """The decision before it, of the same subject for the same purpose."""
    representative: UUID | None = None
    """Who decided with the person, or for them."""
    representative_capture: Capture | UnsetType = UNSET
    """How it was put on record what a guardian said who decided together with the person."""
    representative_decided_at: dt.datetime | UnsetType = UNSET
    of_age: Attested | UnsetType = UNSET
    """Who vouches that the person is of age, where the month of birth is not known."""


class Scope(msgspec.Struct, frozen=True):
    """What may be measured, and when."""

    quantities: frozenset[str]
    valid_from: dt.datetime
    valid_to: dt.datetime | None

    def narrowed(self, other: "Scope") -> "Scope":
        """Return what both allow."""
        ends = [end for end in (self.valid_to, other.valid_to) if end is not None]
        return Scope(
            self.quantities & other.quantities,
            max(self.valid_from, other.valid_from),
            min(ends, default=None),
        )


def encode(decision: Decision) -> bytes:
    """Return the canonical document of *decision*, which is what is signed."""
    return canonical.encode(decision)


def decode(document: bytes) -> Decision:
    """
    Return the decision that *document* spells.

    Raises:
        Tampered: It is no decision.
    """
    return canonical.decode(document, Decision, what="a decision")


def current(decisions: Sequence[Decision]) -> Decision | None:
    """Return the decision in force, of those of one subject and purpose in their order."""
    return decisions[-1] if decisions else None


def state(decisions: Sequence[Decision], *, at: dt.datetime | None = None) -> State:
    """Return the fold of *decisions*, *at* a time if given: unknown, where there is none."""
    latest = current(decisions)
    if latest is None:
        return State.UNKNOWN
    is_over = at is not None and latest.valid_to is not None and latest.valid_to <= at
    return State.EXPIRED if is_over and latest.state is State.ACCEPTED else latest.state


def scope_since(decisions: Sequence[Decision], first: UUID) -> Scope | None:
    """
    Return what a handle issued under *first* may carry; None for nothing any more.

    Args:
        decisions: All of one subject and purpose, in their order.

        first: The decision that the handle was issued under.
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
    """Return the newest of *decisions* that does not restrict; None where there is none."""
    others = (d for d in reversed(decisions) if d.state is not State.RESTRICTED)
    return next(others, None)


def versions_since(decisions: Sequence[Decision], first: UUID) -> list[int]:
    """Return the versions of the purpose that were agreed to from *first* on, each once."""
    started = itertools.dropwhile(lambda decision: decision.decision != first, decisions)
    return list(dict.fromkeys(decision.version for decision in started))


def without_evidence(decision: Decision) -> Decision:
    """Return *decision* as one that nobody gave a reason or a proof for: it claims nothing."""
    return msgspec.structs.replace(
        decision,
        given_by=GivenBy.NOT_STATED,
        capture=Capture("not-stated"),
        representative=None,
        representative_capture=UNSET,
        representative_decided_at=UNSET,
        of_age=UNSET,
    )


def chain(decisions: Sequence[Decision], *, subject: UUID, purpose: str) -> list[Decision]:
    """
    Return *decisions*, found under *subject* and *purpose* in their order, if they form a chain.

    A signature alone does not show that a decision is missing, moved, or another person's.

    Raises:
        Tampered: One is of another subject or purpose, or does not supersede the one before it.
    """
    before: UUID | None = None
    for decision in decisions:
        is_theirs = (decision.subject, decision.purpose) == (subject, purpose)
        if not is_theirs or decision.supersedes != before:
            raise Tampered("a chain of decisions")
        before = decision.decision
    return list(decisions)
