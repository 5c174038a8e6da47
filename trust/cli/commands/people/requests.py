"""Commands about people's requests under their rights, with the due dates of the answers."""

import uuid
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from trust.cli.command import (
    Arguments,
    Command,
    Moment,
    Option,
    Result,
    Row,
    SubjectFlag,
)
from trust.cli.format import format_second
from trust.composition import App, now
from trust.decisions.reminders import KIND, SHOWN_BEFORE, Reminder, reminder
from trust.domain import due_dates
from trust.domain.due_dates import RequestKind, RequestOutcome, RightsRequest, Urgency
from trust.domain.units import Cause, UnitKind
from trust.errors import Refused
from trust.vault.isolation import attempt

_Request = Annotated[
    UUID, Option(help="the id of the request", metavar="REQUEST", is_positional=True)
]


class AddRequest(Arguments, frozen=True, kw_only=True):
    """Arguments: the request of a person."""

    subject: SubjectFlag
    kind: Annotated[RequestKind, Option(help="what the person asked for")]
    received_at: Annotated[
        Moment,
        Option(help="when the request came: the month for the answer begins", metavar="TIME|now"),
    ]


class RequestAdded(Result, frozen=True, kw_only=True):
    """Result: the request's id, and the due date of its answer."""

    request: UUID
    due_at: str


def _add(app: App, arguments: AddRequest) -> RequestAdded:
    at = now()
    received_at = arguments.received_at.at or at
    if received_at > at:
        raise Refused("--received-at is in the future")
    request = due_dates.received(
        uuid.uuid4(), arguments.subject, arguments.kind, received_at=received_at
    )
    with app.vault.transaction() as records:
        records.subjects.data_key(arguments.subject)
        records.requests.add(request)
    return RequestAdded(request=request.request, due_at=format_second(request.due_at))


class ListRequests(Arguments, frozen=True, kw_only=True):
    """Arguments: which requests to list."""

    all: Annotated[bool, Option(help="closed requests and later reminders too")] = False
    overdue: Annotated[bool, Option(help="only those whose answer is overdue")] = False
    kind: Annotated[RequestKind | None, Option(help="only those of this kind")] = None
    subject: Annotated[UUID | None, Option(help="only those of this person", metavar="ID")] = None


class RequestRow(Row, frozen=True, kw_only=True):
    """A request, or a reminder to ask a person for a decision of their own."""

    request: UUID | None
    """None for a reminder."""
    subject: UUID
    kind: str
    received_at: str | None
    due_at: str
    urgency: str
    extended: bool
    outcome: str | None


class RequestList(Result, frozen=True, kw_only=True):
    """Result: requests and reminders, and the ids of unreadable ones."""

    rows: list[RequestRow]
    problems: int | UnsetType = UNSET
    unreadable_requests: list[UUID] | UnsetType = UNSET
    unreadable_subjects: list[UUID] | UnsetType = UNSET


def _list(app: App, arguments: ListRequests) -> RequestList:
    found, unread = _requests(app, with_closed=arguments.all)
    coming, at_fault = _reminders(app)
    at = now()
    last = at + SHOWN_BEFORE
    rows = [
        RequestRow(
            request=one.request,
            subject=one.subject,
            kind=one.kind,
            received_at=format_second(one.received_at),
            due_at=format_second(one.due_at),
            urgency=one.urgency(at=at),
            extended=one.extended_because is not None,
            outcome=one.outcome,
        )
        for one in found
    ] + [
        RequestRow(
            request=None,
            subject=one.subject,
            kind=KIND,
            received_at=None,
            due_at=format_second(one.due_at),
            urgency=one.urgency(at=at),
            extended=False,
            outcome=None,
        )
        for one in coming
        if one.due_at <= last or arguments.all
    ]
    rows = [one for one in rows if _is_asked(one, arguments)]
    if not unread and not at_fault:
        return RequestList(rows=rows)
    return RequestList(
        rows=rows,
        problems=len(unread) + len(at_fault),
        unreadable_requests=unread,
        unreadable_subjects=at_fault,
    )


def _is_asked(row: RequestRow, arguments: ListRequests) -> bool:
    return (
        (not arguments.overdue or row.urgency == Urgency.OVERDUE)
        and arguments.kind in (None, row.kind)
        and arguments.subject in (None, row.subject)
    )


def _requests(app: App, *, with_closed: bool) -> tuple[list[RightsRequest], list[UUID]]:
    """Return the requests, and the ids of the requests whose row cannot be read."""

    def all_of_them() -> list[RightsRequest]:
        with app.vault.transaction() as records:
            return records.requests.all(with_closed=with_closed)

    def one(request: UUID) -> RightsRequest:
        with app.vault.transaction() as records:
            return records.requests.get(request)

    together = attempt(all_of_them, kind=UnitKind.PERSON)
    if not isinstance(together, Cause):
        return together, []
    with app.vault.transaction() as records:
        ids = records.requests.ids(with_closed=with_closed)
    each = {r: attempt(lambda r=r: one(r), kind=UnitKind.PERSON) for r in ids}  # type: ignore[misc]
    read = [found for found in each.values() if not isinstance(found, Cause)]
    return read, [r for r, found in each.items() if isinstance(found, Cause)]


def _reminders(app: App) -> tuple[list[Reminder], list[UUID]]:
    """
    Return the people to ask for a decision of their own, the earliest due first.

    The second list has the ids of people whose records cannot be read.
    """
    with app.vault.transaction() as records:
        wards = records.representatives.wards()
    found: list[Reminder] = []
    at_fault: list[UUID] = []
    for subject in wards:
        theirs = attempt(lambda s=subject: _reminders_of(app, s), kind=UnitKind.PERSON)  # type: ignore[misc]
        if isinstance(theirs, Cause):
            at_fault.append(subject)
        else:
            found += theirs
    return sorted(found, key=lambda one: (one.due_at, one.subject)), at_fault


def _reminders_of(app: App, subject: UUID) -> list[Reminder]:
    with app.vault.transaction() as records:
        born = records.subjects.personal_details(subject).born
        chains = [
            records.decisions.chain(subject, p) for p in records.decisions.purposes_of(subject)
        ]
    ages = app.settings.consent
    return [one for chain in chains if (one := reminder(chain, born=born, ages=ages))]


class ExtendRequest(Arguments, frozen=True, kw_only=True):
    """Arguments: the request, and why its answer takes longer."""

    request: _Request
    because: Annotated[str, Option(help="the reason, as the person is told")]


class RequestExtended(Result, frozen=True, kw_only=True):
    """Result: the new due date of the answer."""

    request: UUID
    due_at: str


def _extend(app: App, arguments: ExtendRequest) -> RequestExtended:
    with app.vault.transaction() as records:
        found = records.requests.get(arguments.request)
        extended = found.extended(arguments.because, at=now())
        records.requests.extend(extended)
    return RequestExtended(request=arguments.request, due_at=format_second(extended.due_at))


class CloseRequest(Arguments, frozen=True, kw_only=True):
    """Arguments: the request, and its outcome."""

    request: _Request
    outcome: Annotated[RequestOutcome, Option(help="how the request was answered")]


class RequestClosed(Result, frozen=True, kw_only=True):
    """Result: the closed request."""

    request: UUID
    outcome: RequestOutcome


def _close(app: App, arguments: CloseRequest) -> RequestClosed:
    with app.vault.transaction() as records:
        records.requests.close(arguments.request, arguments.outcome)
    return RequestClosed(request=arguments.request, outcome=arguments.outcome)


COMMANDS: Final = (
    Command(
        name="request add",
        help="Record that a person asked for something under their rights",
        example="request add --subject ID --kind access --received-at now",
        arguments=AddRequest,
        result=RequestAdded,
        run=_add,
    ),
    Command(
        name="request list",
        help="List the requests that are open, the earliest due date first",
        example="request list --overdue --kind access",
        details="People who soon reach the age to decide for themselves are listed as reminders.",
        arguments=ListRequests,
        result=RequestList,
        run=_list,
    ),
    Command(
        name="request extend",
        help="Extend the time for an answer by two months, once (GDPR art. 12(3))",
        arguments=ExtendRequest,
        result=RequestExtended,
        run=_extend,
    ),
    Command(
        name="request close",
        help="Close a request with its outcome",
        arguments=CloseRequest,
        result=RequestClosed,
        run=_close,
    ),
)
