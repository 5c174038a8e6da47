"""Commands about decisions: record a yes with its evidence, a no, or a withdrawal; list."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from trust.cli.command import Arguments, Command, File, Option, Result, Row, SubjectFlag
from trust.cli.command import read_secret_file as secret
from trust.cli.commands.effects import effects
from trust.cli.commands.people.evidence_options import (
    CapturedBy,
    GivenAt,
    GuardianCapturedBy,
    GuardianGivenAt,
    GuardianLocaleShown,
    GuardianScan,
    GuardianTextShown,
    LocaleShown,
    Scan,
    TextShown,
    said,
    vouching,
)
from trust.cli.format import format_instant
from trust.composition import App, now
from trust.consent.consent import RECORDABLE, RecordedDecision
from trust.consent.giving import Grant, Refusal
from trust.decisions import evidence
from trust.decisions.decisions import Decision, GivenBy, State
from trust.decisions.evidence import Said
from trust.domain.purposes import parse_reference
from trust.domain.units import Cause, UnitKind
from trust.errors import Refused
from trust.vault.isolation import attempt
from trust.vault.records.subjects import SubjectFilter

_PAGE: Final = 1000
_STATES: Final = (State.ACCEPTED, *sorted(RECORDABLE))
_GIVERS: Final = tuple(by for by in GivenBy if by is not GivenBy.NOT_STATED)


class RecordDecision(Arguments, frozen=True, kw_only=True):
    """Arguments: the decision, and the evidence for it; None for facts that were not given."""

    subject: SubjectFlag
    purpose: Annotated[str, Option(help="the version of the purpose", metavar="NAME@VERSION")]
    quantities: Annotated[
        list[str],
        Option(
            help="what may be measured, between commas; by default all that the purpose names",
            is_separated=True, is_repeatable=True,
        ),
    ] = msgspec.field(default_factory=list)  # fmt: skip
    state: Annotated[
        State, Option(help="what the person decided (default: accepted)", choices=_STATES)
    ] = State.ACCEPTED
    agent: Annotated[
        str | None, Option(help="the gateway that measures the person", metavar="AGENT")
    ] = None
    binding: Annotated[
        list[str],
        Option(
            help="the address of a sensor of the person, with #2 after it for user 2; may be"
            " repeated. Sensors that are bound for the purpose stay bound",
            metavar="ADDRESS",
            is_repeatable=True,
        ),
    ] = msgspec.field(default_factory=list)  # fmt: skip
    recipients: Annotated[
        list[str] | None,
        Option(
            help="who may receive the data, between commas; by default all that the purpose names",
            is_separated=True,
        ),
    ] = None
    valid_from: Annotated[
        dt.datetime | None,
        Option(help="when it begins, not before --given-at; now by default", metavar="TIME"),
    ] = None
    valid_to: Annotated[
        dt.datetime | None,
        Option(help="when it ends; by default when it is withdrawn", metavar="TIME"),
    ] = None
    valid_for: Annotated[
        dt.timedelta | None, Option(help="how long it lasts, instead of --valid-to", metavar="90d")
    ] = None
    given_by: Annotated[GivenBy | None, Option(help="who decided", choices=_GIVERS)] = None
    captured_by: CapturedBy = None
    text_sha256: TextShown = None
    locale: LocaleShown = None
    given_at: GivenAt = None
    scan_sha256: Scan = None
    witness: Annotated[
        UUID | None, Option(help="the officer who heard a spoken decision", metavar="OFFICER")
    ] = None
    witness_key: Annotated[
        File | None,
        Option(help="the private key of that officer", metavar="FILE.key", reads=secret),
    ] = None
    of_age: Annotated[
        UUID | None,
        Option(
            help="the officer who saw a proof of age, where the month of birth is not known",
            metavar="OFFICER",
        ),
    ] = None
    of_age_key: Annotated[
        File | None,
        Option(help="the private key of that officer", metavar="FILE.key", reads=secret),
    ] = None
    representative: Annotated[
        UUID | None, Option(help="the representative who decides", metavar="ID")
    ] = None
    representative_captured_by: GuardianCapturedBy = None
    representative_text_sha256: GuardianTextShown = None
    representative_locale: GuardianLocaleShown = None
    representative_given_at: GuardianGivenAt = None
    representative_scan_sha256: GuardianScan = None


class DecisionTaken(Result, frozen=True, kw_only=True):
    """Result: a decision that took effect."""

    decision: UUID
    handle: str | UnsetType = UNSET
    """The handle that stands for the person in the gateway's lease: of the first sensor."""
    handles: dict[str, str] | UnsetType = UNSET
    """For a yes: the handle of each sensor that measures for the purpose at that gateway."""
    kept: list[str] | UnsetType = UNSET
    """Those of the sensors that were bound before and not named now."""
    withdrawn_at: str | None
    committed_at: str
    lease_version: int | None
    leases: dict[str, int]


def _record(app: App, arguments: RecordDecision) -> DecisionTaken:
    reference = parse_reference(arguments.purpose)
    if reference is None:
        raise Refused("--purpose is not a name with a version; write it as home-monitoring@1")
    purpose, version = reference
    if arguments.state is not State.ACCEPTED:
        return _taken(app.consent.record(_refusal(arguments, purpose, version)))
    if arguments.agent is None:
        raise Refused(
            "who accepts is measured at a gateway: give --agent, and --binding for each sensor"
        )
    return _taken(app.consent.accept(_grant(arguments, arguments.agent, purpose, version)))


def _grant(arguments: RecordDecision, agent: str, purpose: str, version: int) -> Grant:
    return Grant(
        subject=arguments.subject,
        purpose=purpose,
        version=version,
        quantities=arguments.quantities,
        agent=agent,
        bindings=arguments.binding,
        given_by=arguments.given_by,
        said=_said(arguments),
        representative=arguments.representative,
        representative_said=said(
            arguments.representative_captured_by,
            arguments.representative_text_sha256,
            arguments.representative_locale,
            arguments.representative_given_at,
            arguments.representative_scan_sha256,
        ),
        witness=vouching(arguments.witness, arguments.witness_key, option="witness"),
        of_age=vouching(arguments.of_age, arguments.of_age_key, option="of-age"),
        valid_from=arguments.valid_from,
        valid_to=arguments.valid_to,
        valid_for=arguments.valid_for,
        recipients=arguments.recipients,
    )


def _refusal(arguments: RecordDecision, purpose: str, version: int) -> Refusal:
    if arguments.agent is not None or arguments.binding or arguments.quantities:
        raise Refused("only who accepts is measured: drop --agent, --binding and --quantities")
    return Refusal(
        subject=arguments.subject,
        purpose=purpose,
        version=version,
        state=arguments.state,
        given_by=arguments.given_by,
        representative=arguments.representative,
        said=_said(arguments),
    )


def _said(arguments: RecordDecision) -> Said:
    return said(
        arguments.captured_by,
        arguments.text_sha256,
        arguments.locale,
        arguments.given_at,
        arguments.scan_sha256,
    )


def _taken(one: RecordedDecision) -> DecisionTaken:
    done = effects(one.done)
    return DecisionTaken(
        decision=one.decision,
        handle=UNSET if one.handle is None else one.handle.hex(),
        handles={b: h.handle.hex() for h in one.handles for b in h.bindings} or UNSET,
        kept=one.kept or UNSET,
        withdrawn_at=done.withdrawn_at,
        committed_at=done.committed_at,
        lease_version=done.lease_version,
        leases=done.leases,
    )


class WithdrawDecision(Arguments, frozen=True, kw_only=True):
    """Arguments: the person, and the purpose whose consent they withdraw."""

    subject: SubjectFlag
    purpose: Annotated[
        str, Option(help="the purpose; a version is ignored", metavar="NAME[@VERSION]")
    ]
    given_by: Annotated[
        GivenBy, Option(help="who withdrew, if that is known", choices=_GIVERS)
    ] = GivenBy.NOT_STATED


def _withdraw(app: App, arguments: WithdrawDecision) -> DecisionTaken:
    name = arguments.purpose.partition("@")[0]
    return _taken(app.consent.withdraw(arguments.subject, name, given_by=arguments.given_by))


class ListDecisions(Arguments, frozen=True, kw_only=True):
    """Arguments: which decisions to list; None for no condition."""

    subject: Annotated[
        UUID | None, Option(help="the person; by default everybody", metavar="ID")
    ] = None
    purpose: Annotated[str | None, Option(help="those for this purpose", metavar="NAME")] = None
    state: Annotated[State | None, Option(help="those that said this")] = None
    latest: Annotated[bool, Option(help="only the latest decision of a person for a purpose")] = (
        False
    )
    ends_within: Annotated[
        dt.timedelta | None,
        Option(help="only latest decisions that end within this time", metavar="30d"),
    ] = None


class DecisionRow(Row, frozen=True, kw_only=True):
    """One decision of a person in a list."""

    subject: UUID | UnsetType = UNSET
    """Unset in the list of one person."""
    decided_at: str
    recorded_at: str | None
    purpose: str
    state: State
    quantities: list[str]
    given_by: GivenBy
    captured_by: str
    text_sha256: str | None
    locale: str | None
    evidence: evidence.Proof
    valid_to: str | None
    decision: UUID


class DecisionList(Result, frozen=True, kw_only=True):
    """Result: decisions, by person, by purpose and then in order."""

    problems: int | UnsetType = UNSET
    unreadable_subjects: list[UUID] | UnsetType = UNSET
    """Of them no decision is listed."""
    rows: list[DecisionRow]


def _list(app: App, arguments: ListDecisions) -> DecisionList:
    if arguments.subject is not None:
        return DecisionList(rows=_decisions_of(app, arguments.subject, arguments))
    rows: list[DecisionRow] = []
    unread: list[UUID] = []
    for subject in _everybody(app):
        theirs = attempt(
            lambda s=subject: _decisions_of(app, s, arguments),  # type: ignore[misc]
            kind=UnitKind.PERSON,
        )
        if isinstance(theirs, Cause):
            unread.append(subject)
        else:
            rows += [msgspec.structs.replace(row, subject=subject) for row in theirs]
    if not unread:
        return DecisionList(rows=rows)
    return DecisionList(problems=len(unread), unreadable_subjects=unread, rows=rows)


def _everybody(app: App) -> Iterator[UUID]:
    after = UUID(int=0)
    while True:
        with app.vault.transaction() as records:
            page = records.subjects.search(SubjectFilter(), after=after, limit=_PAGE)
        yield from (one.subject for one in page)
        if len(page) < _PAGE:
            return
        after = page[-1].subject


def _decisions_of(app: App, subject: UUID, arguments: ListDecisions) -> list[DecisionRow]:
    with app.vault.transaction() as records:
        records.subjects.data_key(subject)
        names = records.decisions.purposes_of(subject)
        chains = [records.decisions.chain(subject, name) for name in names]
        recorded_at = records.decisions.recorded_at(subject)
    if arguments.latest or arguments.ends_within is not None:
        chains = [chain[-1:] for chain in chains]
    at = now()
    return [
        _row(one, recorded_at.get(one.decision))
        for chain in chains
        for one in chain
        if _is_asked(one, arguments, at=at)
    ]


def _is_asked(one: Decision, arguments: ListDecisions, *, at: dt.datetime) -> bool:
    within = arguments.ends_within
    return (
        arguments.purpose in (None, one.purpose)
        and arguments.state in (None, one.state)
        and (within is None or (one.valid_to is not None and at <= one.valid_to <= at + within))
    )


def _row(one: Decision, recorded_at: dt.datetime | None) -> DecisionRow:
    return DecisionRow(
        decided_at=format_instant(one.decided_at),
        recorded_at=None if recorded_at is None else format_instant(recorded_at),
        purpose=f"{one.purpose}@{one.version}",
        state=one.state,
        quantities=one.quantities,
        given_by=one.given_by,
        captured_by=one.capture.method,
        text_sha256=one.capture.text_sha256,
        locale=one.capture.locale,
        evidence=evidence.proof(one),
        valid_to=None if one.valid_to is None else format_instant(one.valid_to),
        decision=one.decision,
    )


COMMANDS: Final = (
    Command(
        name="decision record",
        help="Record what a person decided, and how that is shown",
        details="""\
Nothing is filled in that was not said: a yes needs --given-by, --captured-by, --text (or
--text-sha256), --locale and --given-at, and is refused without them. A no needs none of
them, and neither does a withdrawal.

A purpose that rests on consent takes checkbox, signature, scan (with --scan) or
verbal-witnessed (with --witness). For a purpose with another legal basis, record how the
person was informed: handed-over, read-out, posted, or one of the others.

A sensor that is exchanged needs no decision: see `sensor replace`. Without --binding, what is
bound to the person at the gateway measures for the purpose; nothing is unbound.""",
        example="decision record --subject ID --purpose home-monitoring@1 --agent AGENT"
        " --binding C0:FF:EE:00:00:01 --given-by self --captured-by checkbox --text shown.txt"
        " --locale fr-FR --given-at now",
        arguments=RecordDecision,
        result=DecisionTaken,
        run=_record,
        changes_leases=True,
        is_finished_by_daemon=True,
    ),
    Command(
        name="decision withdraw",
        help="Withdraw the consent of a person; no evidence is asked for",
        example="decision withdraw --subject ID --purpose home-monitoring",
        arguments=WithdrawDecision,
        result=DecisionTaken,
        run=_withdraw,
        changes_leases=True,
        is_finished_by_daemon=True,
    ),
    Command(
        name="decision list",
        help="List the decisions of a person or of everybody, in their order",
        example="decision list --state accepted --ends-within 30d",
        arguments=ListDecisions,
        result=DecisionList,
        run=_list,
    ),
)
