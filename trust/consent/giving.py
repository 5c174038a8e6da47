"""
Giving: checks who decides for whom, and with which evidence, against the vault.

The rules are pure and stand in `trust.decisions.evidence` and `trust.decisions.representatives`.
This module applies them to the people, mandates, officers and purposes in the vault.
"""

import datetime as dt
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from trust.config import ConsentSettings
from trust.decisions import evidence
from trust.decisions.decisions import Capture, Decision, GivenBy, State
from trust.decisions.evidence import Method, NotSaid, Said, Vouched, Vouching
from trust.decisions.representatives import check_giver
from trust.domain.purposes import Purpose
from trust.errors import NotFound, Refused
from trust.vault.protocols import Records


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a person agreed to, at which gateway it is measured, and the evidence of the yes."""

    subject: UUID
    purpose: str
    version: int
    quantities: list[str]
    """Names of quantities; an empty list means all that the purpose allows."""
    agent: str
    bindings: list[str]
    given_by: GivenBy | None
    said: Said
    """Statements about the yes of the person, or of a representative who decides for them."""
    representative: UUID | None = None
    representative_said: Said = Said()
    """Statements about the yes of a guardian who decides together with the person."""
    witness: Vouching | None = None
    of_age: Vouching | None = None
    valid_from: dt.datetime | None = None
    valid_to: dt.datetime | None = None
    valid_for: dt.timedelta | None = None
    """Duration from the beginning of the decision, as an alternative to *valid_to*."""
    recipients: list[str] | None = None
    """Names of recipients; None means all that the purpose names."""

    def __repr__(self) -> str:
        return "Grant(…)"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A decision other than yes, or a fact that invalidates an earlier yes."""

    subject: UUID
    purpose: str
    version: int
    state: State
    given_by: GivenBy | None = None
    representative: UUID | None = None
    said: Said = Said()

    def __repr__(self) -> str:
        return "Refusal(…)"


class Given(msgspec.Struct, frozen=True):
    """The checked statements about how a yes was given."""

    given_by: GivenBy
    decided_at: dt.datetime
    capture: Capture
    until: dt.datetime | None
    """The latest end of the decision; None for no end."""
    representative_capture: Capture | UnsetType = UNSET
    representative_decided_at: dt.datetime | UnsetType = UNSET


def given(
    records: Records,
    grant: Grant,
    purpose: Purpose,
    chain: list[Decision],
    *,
    now: dt.datetime,
    ages: ConsentSettings,
) -> Given:
    """
    Check how *grant* was given, and return the checked statements.

    Args:
        records: The records of the vault, in the current transaction.

        grant: The statements of the caller.

        purpose: The purpose of the decision.

        chain: The earlier decisions of the person for that purpose, in their order.

        now: The current time.

        ages: The ages from which a person decides with a guardian or alone.

    Raises:
        Refused: A statement is missing or impossible; missing statements are never filled in.
    """
    if grant.given_by is None or grant.given_by is GivenBy.NOT_STATED:
        raise NotSaid(["--given-by", *evidence.missing(grant.said)])
    since = records.purposes.loaded_at(purpose.name, purpose.version)
    said = grant.said.at(now)
    capture = evidence.check(said, purpose, since=since, at=now)
    assert isinstance(said.given_at, dt.datetime)  # noqa: S101 - it was checked to be there
    evidence.check_order(said.given_at, chain, at=now)
    until = _giver_until(
        records, grant, at=said.given_at, ages=ages, age_matters=purpose.needs_consent
    )
    found = Given(grant.given_by, said.given_at, capture, until)
    theirs = grant.representative_said.at(now)
    if grant.given_by is GivenBy.JOINT:
        found = msgspec.structs.replace(
            found,
            representative_capture=evidence.check(
                theirs, purpose, since=since, at=now, prefix="--representative-"
            ),
            representative_decided_at=theirs.given_at,
        )
    elif theirs != Said():
        raise Refused(
            "the options --representative-captured-by and its like are of a guardian who decides"
            " with --given-by joint"
        )
    if Method.VERBAL in (said.method, theirs.method) and grant.witness is None:
        raise Refused(
            "what was said aloud takes an officer who heard it and signs: give --witness OFFICER"
            " and --witness-key FILE"
        )
    return found


def vouched(records: Records, grant: Grant, decision: Decision) -> Decision:
    """
    Return *decision* with the signatures of the officers who vouch for facts about it.

    Raises:
        Refused: One of them is no officer, or the key is not theirs.
    """
    if grant.witness is None and grant.of_age is None:
        return decision
    officers = records.officers.all()
    capture, of_age = decision.capture, decision.of_age
    if grant.witness is not None:
        signed = evidence.vouch(Vouched.WITNESSED, grant.witness, decision, officers)
        capture = msgspec.structs.replace(capture, witness=signed)
    if grant.of_age is not None:
        of_age = evidence.vouch(Vouched.OF_AGE, grant.of_age, decision, officers)
    return msgspec.structs.replace(decision, capture=capture, of_age=of_age)


def check_says_no(
    records: Records, refusal: Refusal, *, at: dt.datetime, ages: ConsentSettings
) -> None:
    """
    Check that the giver of a no may decide; the person always may, at any age.

    Raises:
        Refused: The representative may not decide for the person.
    """
    if refusal.given_by in (None, GivenBy.SELF, GivenBy.NOT_STATED):
        if refusal.representative is not None:
            raise Refused("a --representative decides with --given-by guardian, joint or proxy")
        return
    _giver_until(records, refusal, at=at, ages=ages, age_matters=False)


def _giver_until(
    records: Records,
    given: Grant | Refusal,
    *,
    at: dt.datetime,
    ages: ConsentSettings,
    age_matters: bool,
) -> dt.datetime | None:
    known = {r.representative: r for r in records.representatives.of(given.subject)}
    if given.representative is not None and given.representative not in known:
        raise NotFound(
            "representative of that subject",
            "Add one with `vitalveil trust representative add`.",
        )
    is_vouched = isinstance(given, Grant) and given.of_age is not None
    return check_giver(
        given.given_by or GivenBy.NOT_STATED,
        None if given.representative is None else known[given.representative],
        born=records.subjects.personal_details(given.subject).born,
        purpose=given.purpose,
        at=at,
        ages=ages,
        of_age=is_vouched,
        age_matters=age_matters,
    )
