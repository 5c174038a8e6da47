"""Commands about people: add, show, correct."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from trust.cli.command import (
    Arguments,
    BirthMonth,
    Command,
    Name,
    Option,
    RequestToClose,
    Result,
    Subject,
)
from trust.composition import App, now
from trust.decisions.representatives import check_born
from trust.domain.due_dates import RequestOutcome
from trust.domain.identity.national import (
    IdentityAuthority,
    IdentityStatus,
    NationalIdentity,
    national_identity,
)
from trust.domain.subjects import PersonalDetails
from trust.errors import Conflict, Refused

MAX_NAME: Final = 200
_NAMED: Final = 3

_Born = Annotated[
    BirthMonth | None, Option(help="the month of birth; the day is not kept", metavar="YYYY-MM")
]


_Status = Annotated[IdentityStatus | None, Option(help="how far the identity was verified (RNIV)")]
_Ins = Annotated[
    str | None,
    Option(
        help="the matricule INS, all 15 digits; - reads it from standard input",
        metavar="MATRICULE", may_be_standard_input=True,
    ),
]  # fmt: skip
_Authority = Annotated[
    IdentityAuthority | None,
    Option(help="the OID of who assigned the matricule (default: that of the NIR)", metavar="OID"),
]


def checked_name(name: str) -> str:
    """
    Return *name* without surrounding blanks.

    Raises:
        Refused: The name is empty or too long.
    """
    stripped = name.strip()
    if not 1 <= len(stripped) <= MAX_NAME:
        raise Refused(f"--name has 1 to {MAX_NAME} characters")
    return stripped


class AddSubject(Arguments, frozen=True, kw_only=True):
    """A person."""

    name: Name
    born: _Born = None
    identity_status: _Status = None
    ins: _Ins = None
    ins_oid: _Authority = None
    even_if_alike: Annotated[
        bool,
        Option(help="add them although their name and month of birth are registered"),
    ] = False


class SubjectAdded(Result, frozen=True, kw_only=True):
    """Result: the new person's id."""

    subject: UUID


def _add(app: App, arguments: AddSubject) -> SubjectAdded:
    if arguments.born is not None:
        check_born(arguments.born, at=now())
    details = PersonalDetails(
        checked_name(arguments.name),
        arguments.born,
        _identity(arguments.identity_status, arguments.ins, arguments.ins_oid) or UNSET,
    )
    subject = uuid.uuid4()
    with app.vault.transaction() as records:
        found = records.subjects.alike(details)
        _refuse_matricule(found.by_matricule)
        if found.by_name and not arguments.even_if_alike:
            raise Conflict(
                f"a person of that name and month of birth is registered: {_some(found.by_name)}."
                " Look with `vitalveil trust subject show`; if it is another person, give"
                " --even-if-alike"
            )
        if found.is_unread and not arguments.even_if_alike:
            raise Conflict(
                "a person of that name and month of birth may be registered: a record cannot be"
                " read, because a table of the vault is damaged. Look into the log of the database"
                " server; if they are not registered, give --even-if-alike"
            )
        records.subjects.add(subject, details)
    return SubjectAdded(subject=subject)


def _identity(
    status: IdentityStatus | None, matricule: str | None, authority: IdentityAuthority | None
) -> NationalIdentity | None:
    if status is None:
        if matricule is None and authority is None:
            return None
        raise Refused(
            "a matricule says nothing without how far the identity was verified: give"
            " --identity-status retrieved or qualified"
        )
    return national_identity(status, matricule=matricule, authority=authority)


def _refuse_matricule(found: Sequence[UUID]) -> None:
    if found:
        raise Conflict(
            f"a person with that matricule is registered: {_some(found)}. Each person has their"
            " own: correct the record that is wrong with `vitalveil trust subject rectify`"
        )


def _some(subjects: Sequence[UUID]) -> str:
    more = len(subjects) - _NAMED
    return ", ".join(map(str, subjects[:_NAMED])) + (f" and {more} more" if more > 0 else "")


class ShowSubject(Arguments, frozen=True, kw_only=True):
    """A person's id."""

    subject: Subject


class SubjectShown(Result, frozen=True, kw_only=True):
    """A person."""

    subject: UUID
    name: str
    born: str | None
    identity_status: IdentityStatus | UnsetType = UNSET
    ins: str | UnsetType | None = UNSET
    ins_oid: IdentityAuthority | UnsetType | None = UNSET


def _show(app: App, arguments: ShowSubject) -> SubjectShown:
    with app.vault.transaction() as records:
        details = records.subjects.personal_details(arguments.subject)
    one = details.identity
    return SubjectShown(
        subject=arguments.subject,
        name=details.name,
        born=details.born,
        identity_status=UNSET if isinstance(one, UnsetType) else one.status,
        ins=UNSET if isinstance(one, UnsetType) else one.matricule,
        ins_oid=UNSET if isinstance(one, UnsetType) else one.authority,
    )


class RectifySubject(Arguments, frozen=True, kw_only=True):
    """Arguments: the corrected details of a person; None for details that stay."""

    subject: Subject
    name: Annotated[
        str | None,
        Option(
            help="the correct name; - reads it from standard input", may_be_standard_input=True
        ),
    ] = None
    born: _Born = None
    identity_status: _Status = None
    ins: _Ins = None
    ins_oid: _Authority = None
    request: RequestToClose = None


class SubjectRectified(Result, frozen=True, kw_only=True):
    """Result: the fields that changed."""

    subject: UUID
    rectified: list[str]


def _rectify(app: App, arguments: RectifySubject) -> SubjectRectified:
    identity = _identity(arguments.identity_status, arguments.ins, arguments.ins_oid)
    if arguments.name is None and arguments.born is None and identity is None:
        raise Refused("give --name, --born or --identity-status, or several of them")
    name = None if arguments.name is None else checked_name(arguments.name)
    if arguments.born is not None:
        check_born(arguments.born, at=now())
    with app.vault.transaction() as records:
        if identity is not None and identity.matricule is not None:
            held = records.subjects.personal_details(arguments.subject)
            wanted = PersonalDetails(name or held.name, arguments.born or held.born, identity)
            others = records.subjects.alike(wanted).by_matricule
            _refuse_matricule([one for one in others if one != arguments.subject])
        fields = records.subjects.rectify(
            arguments.subject, name=name, born=arguments.born, identity=identity
        )
        if arguments.request is not None:
            records.requests.close(arguments.request, RequestOutcome.GRANTED)
    return SubjectRectified(subject=arguments.subject, rectified=fields)


COMMANDS: Final = (
    Command(
        name="subject add",
        help="Add a person; the name is kept sealed",
        details="""\
Prints the id of the person, which every other command takes. A person with the same name
and month of birth, however it is written, is refused without --even-if-alike; a person with
the same matricule INS is always refused.""",
        example="subject add --name 'Ada Lovelace' --born 1985-12",
        arguments=AddSubject,
        result=SubjectAdded,
        run=_add,
    ),
    Command(
        name="subject show",
        help="Show the name, the month of birth and the identity of a person",
        arguments=ShowSubject,
        result=SubjectShown,
        run=_show,
    ),
    Command(
        name="subject rectify",
        help="Correct name, month of birth or identity of a person (GDPR art. 16)",
        example="subject rectify SUBJECT --born 1985-11 --request REQUEST",
        arguments=RectifySubject,
        result=SubjectRectified,
        run=_rectify,
    ),
)
