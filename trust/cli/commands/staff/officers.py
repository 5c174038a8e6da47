"""Commands of the staff: officers, re-identification, epochs of pseudonyms."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from trust.cli.command import (
    Arguments,
    Command,
    File,
    LocalCommand,
    NoArguments,
    OfficerFlag,
    OfficerKey,
    Option,
    Result,
    Row,
    read_file,
)
from trust.composition import App
from trust.domain import canonical
from trust.domain.purposes import is_name
from trust.domain.reidentify import Basis, OfficerRole, ReidentificationRequest
from trust.errors import NotFound, Refused
from trust.reidentification.reidentification import (
    ReidentificationQuestion,
    load_key,
    load_public_key,
    make_key,
    names,
)

_MAX_LOG: Final = 10_000


class MakeOfficerKey(Arguments, frozen=True, kw_only=True):
    """Arguments: the file of the private key."""

    out: Annotated[
        str,
        Option(help="the private key to write; the public key goes beside it", metavar="FILE.key"),
    ]


class OfficerKeyMade(Result, frozen=True, kw_only=True):
    """Result: the files of the key pair."""

    private: str
    public: str


def _make_key(arguments: MakeOfficerKey) -> OfficerKeyMade:
    out = Path(arguments.out)
    make_key(out)
    return OfficerKeyMade(private=str(out), public=str(out.with_suffix(".pub")))


class AddOfficer(Arguments, frozen=True, kw_only=True):
    """Arguments: the officer's role and public key."""

    role: Annotated[OfficerRole, Option(help="what the officer is")]
    public_key: Annotated[
        File,
        Option(help="the public key of the officer", metavar="FILE.pub", reads=read_file),
    ]


class OfficerAdded(Result, frozen=True, kw_only=True):
    """Result: the new officer's id."""

    officer: UUID
    role: OfficerRole


def _add(app: App, arguments: AddOfficer) -> OfficerAdded:
    key = load_public_key(arguments.public_key.content, name=arguments.public_key.name)
    officer = app.reidentification.add_officer(arguments.role, key)
    return OfficerAdded(officer=officer.officer, role=officer.role)


class OfficerRow(Row, frozen=True, kw_only=True):
    """An officer, without their name."""

    officer: UUID
    role: OfficerRole
    public_key: str
    ended: bool


class OfficerList(Result, frozen=True, kw_only=True):
    """All officers, also former ones."""

    rows: list[OfficerRow]


def _list(app: App, _: NoArguments) -> OfficerList:
    with app.vault.transaction() as records:
        found = records.officers.all()
    return OfficerList(
        rows=[
            OfficerRow(
                officer=known.officer.officer,
                role=known.officer.role,
                public_key=known.officer.public_key,
                ended=known.ended_at is not None,
            )
            for known in found.values()
        ]
    )


class EndOfficer(Arguments, frozen=True, kw_only=True):
    """An officer's id."""

    officer: Annotated[
        UUID, Option(help="the id of the officer", metavar="OFFICER", is_positional=True)
    ]


class OfficerEnded(Result, frozen=True, kw_only=True):
    """Result: the officer whose office ended."""

    officer: UUID
    ended: bool


def _end(app: App, arguments: EndOfficer) -> OfficerEnded:
    with app.vault.transaction() as records:
        records.officers.end(arguments.officer)
    return OfficerEnded(officer=arguments.officer, ended=True)


_Request = Annotated[
    UUID, Option(help="the id of the request", metavar="REQUEST", is_positional=True)
]


class RequestReidentification(Arguments, frozen=True, kw_only=True):
    """Arguments: the pseudonyms to re-identify, the officer who asks, and the reason."""

    purpose: Annotated[str, Option(help="the purpose of the pseudonyms", metavar="NAME")]
    pseudonyms: Annotated[
        list[str],
        Option(help="the pseudonyms, between commas", metavar="HEX,HEX", is_separated=True),
    ]
    basis: Annotated[Basis, Option(help="why the names are needed")]
    reason: Annotated[
        str, Option(help="the reason in words: at least 20 characters, and no name of a person")
    ]
    valid_for: Annotated[
        dt.timedelta,
        Option(help="how long the request can be approved and opened (default: 24h)",
               metavar="24h"),
    ] = dt.timedelta(hours=24)  # fmt: skip
    officer: OfficerFlag
    key: OfficerKey


class ReidentificationRequested(Result, frozen=True, kw_only=True):
    """Result: the request, which waits for approvals."""

    request: UUID
    expires_at: str
    next: str


def _request(app: App, arguments: RequestReidentification) -> ReidentificationRequested:
    if not is_name(arguments.purpose):
        raise Refused("--purpose is not the name of a purpose, without a version")
    question = ReidentificationQuestion(
        purpose=arguments.purpose,
        pseudonyms=arguments.pseudonyms,
        basis=arguments.basis,
        reason=arguments.reason,
        valid_for=arguments.valid_for,
    )
    key = load_key(arguments.key.content, name=arguments.key.name)
    request = app.reidentification.request(arguments.officer, key, question)
    return ReidentificationRequested(
        request=request.request,
        expires_at=request.expires_at.isoformat(timespec="seconds"),
        next="two others approve it, one of them DPO or physician",
    )


class ShowReidentification(Arguments, frozen=True, kw_only=True):
    """A request's id."""

    request: _Request


class ReidentificationShown(Result, frozen=True, kw_only=True):
    """Result: the content of the request, for the officer who may approve it."""

    request: UUID
    requester: UUID
    purpose: str
    basis: Basis
    reason: str
    pseudonyms: list[str]
    expires_at: str
    approvals: int
    opened: bool


def _show(app: App, arguments: ShowReidentification) -> ReidentificationShown:
    with app.vault.transaction() as records:
        found = records.reidentifications.get(arguments.request)
        approvals = records.reidentifications.approvals(arguments.request)
    if found is None:
        raise NotFound("request", "See `vitalveil trust reidentify log`.")
    signed, opened_at = found
    request = canonical.decode(signed.document, ReidentificationRequest, what="a request")
    return ReidentificationShown(
        request=request.request,
        requester=request.requester,
        purpose=request.purpose,
        basis=request.basis,
        reason=request.reason,
        pseudonyms=request.pseudonyms,
        expires_at=request.expires_at.isoformat(timespec="seconds"),
        approvals=len(approvals),
        opened=opened_at is not None,
    )


class ApproveReidentification(Arguments, frozen=True, kw_only=True):
    """Arguments: the request, and the officer who approves it."""

    request: _Request
    officer: OfficerFlag
    key: OfficerKey


class ReidentificationApproved(Result, frozen=True, kw_only=True):
    """Result: the approval."""

    request: UUID
    approver: UUID


def _approve(app: App, arguments: ApproveReidentification) -> ReidentificationApproved:
    key = load_key(arguments.key.content, name=arguments.key.name)
    approval = app.reidentification.approve(arguments.request, arguments.officer, key)
    return ReidentificationApproved(request=approval.request, approver=approval.approver)


class OpenReidentification(Arguments, frozen=True, kw_only=True):
    """Arguments: the request, and the officer who made it."""

    request: _Request
    officer: OfficerFlag
    key: OfficerKey


class NameRow(Row, frozen=True, kw_only=True):
    """A pseudonym, with the person's name."""

    pseudonym: str
    subject: UUID
    name: str


class NamesOpened(Result, frozen=True, kw_only=True):
    """Result: the names, shown once."""

    rows: list[NameRow]


def _open(app: App, arguments: OpenReidentification) -> NamesOpened:
    key = load_key(arguments.key.content, name=arguments.key.name)
    found = app.reidentification.open(arguments.request, arguments.officer, key)
    with app.vault.transaction() as records:
        shown = names(records, found)
    return NamesOpened(
        rows=[
            NameRow(pseudonym=one["pseudonym"], subject=UUID(one["subject"]), name=one["name"])
            for one in shown
        ]
    )


class ReadReidentificationLog(Arguments, frozen=True, kw_only=True):
    """Arguments: how many rows of the log to show."""

    limit: Annotated[int, Option(help="how many attempts to show (default: 50)")] = 50


class AttemptRow(Row, frozen=True, kw_only=True):
    """An attempt to re-identify a pseudonym."""

    at: str
    action: str
    outcome: str
    request: UUID | None
    officer: UUID | None


class ReidentificationLog(Result, frozen=True, kw_only=True):
    """Result: the latest attempts, newest first."""

    rows: list[AttemptRow]


def _log(app: App, arguments: ReadReidentificationLog) -> ReidentificationLog:
    if not 1 <= arguments.limit <= _MAX_LOG:
        raise Refused(f"--limit is from 1 to {_MAX_LOG}")
    with app.vault.transaction() as records:
        found = records.reidentifications.attempts(limit=arguments.limit)
    return ReidentificationLog(
        rows=[
            AttemptRow(
                at=one.at.isoformat(timespec="seconds"),
                action=one.action,
                outcome=one.outcome,
                request=one.request,
                officer=one.officer,
            )
            for one in found
        ]
    )


COMMANDS: Final = (
    LocalCommand(
        name="officer key",
        help="Make the key pair of an officer, on the officer's own machine",
        example="officer key --out officer.key",
        arguments=MakeOfficerKey,
        result=OfficerKeyMade,
        run=_make_key,
    ),
    Command(
        name="officer add",
        help="Register an officer by their public key",
        example="officer add --role dpo --public-key officer.pub",
        arguments=AddOfficer,
        result=OfficerAdded,
        run=_add,
    ),
    Command(
        name="officer list",
        help="List the officers: ids, roles and keys, without names",
        arguments=NoArguments,
        result=OfficerList,
        run=_list,
    ),
    Command(
        name="officer end",
        help="End the rights of an officer, who can then approve nothing more",
        arguments=EndOfficer,
        result=OfficerEnded,
        run=_end,
    ),
    Command(
        name="reidentify request",
        help="Ask, as an officer, for the names behind pseudonyms",
        details="Two other officers approve the request, one of them a DPO or a physician.",
        example="reidentify request --purpose home-monitoring --pseudonyms HEX"
        " --basis safety --reason 'a dangerous fall of glucose' --officer ID"
        " --key officer.key",
        arguments=RequestReidentification,
        result=ReidentificationRequested,
        run=_request,
    ),
    Command(
        name="reidentify show",
        help="Show what a request asks for, before it is approved",
        arguments=ShowReidentification,
        result=ReidentificationShown,
        run=_show,
    ),
    Command(
        name="reidentify approve",
        help="Approve the request of another officer",
        example="reidentify approve REQUEST --officer ID --key officer.key",
        arguments=ApproveReidentification,
        result=ReidentificationApproved,
        run=_approve,
    ),
    Command(
        name="reidentify open",
        help="Show the names, once, to the officer who asked for them",
        example="reidentify open REQUEST --officer ID --key officer.key",
        arguments=OpenReidentification,
        result=NamesOpened,
        run=_open,
    ),
    Command(
        name="reidentify log",
        help="List every attempt to get a name, the last one first",
        arguments=ReadReidentificationLog,
        result=ReidentificationLog,
        run=_log,
    ),
)
