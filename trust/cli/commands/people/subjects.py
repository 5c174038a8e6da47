"""Commands about people: add, show, list, correct."""

import uuid
from typing import Annotated, Final
from uuid import UUID

from trust.cli.command import (
    Arguments,
    BirthMonth,
    Command,
    Name,
    NoArguments,
    Option,
    RequestToClose,
    Result,
    Row,
    Subject,
)
from trust.cli.format import format_second
from trust.composition import App, now
from trust.decisions.representatives import check_born
from trust.domain.due_dates import RequestOutcome
from trust.domain.subjects import PersonalDetails
from trust.errors import Refused

MAX_NAME: Final = 200
_FIRST: Final = UUID(int=0)
_PAGE: Final = 1000

_Born = Annotated[
    BirthMonth | None, Option(help="the month of birth; the day is not kept", metavar="YYYY-MM")
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


class SubjectAdded(Result, frozen=True, kw_only=True):
    """Result: the new person's id."""

    subject: UUID


def _add(app: App, arguments: AddSubject) -> SubjectAdded:
    if arguments.born is not None:
        check_born(arguments.born, at=now())
    identity = PersonalDetails(checked_name(arguments.name), arguments.born)
    subject = uuid.uuid4()
    with app.vault.transaction() as records:
        records.subjects.add(subject, identity)
    return SubjectAdded(subject=subject)


class ShowSubject(Arguments, frozen=True, kw_only=True):
    """A person's id."""

    subject: Subject


class SubjectShown(Result, frozen=True, kw_only=True):
    """A person."""

    subject: UUID
    name: str
    born: str | None


def _show(app: App, arguments: ShowSubject) -> SubjectShown:
    with app.vault.transaction() as records:
        identity = records.subjects.personal_details(arguments.subject)
    return SubjectShown(subject=arguments.subject, name=identity.name, born=identity.born)


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
    request: RequestToClose = None


class SubjectRectified(Result, frozen=True, kw_only=True):
    """Result: the fields that changed."""

    subject: UUID
    rectified: list[str]


def _rectify(app: App, arguments: RectifySubject) -> SubjectRectified:
    if arguments.name is None and arguments.born is None:
        raise Refused("give --name, --born or both")
    name = None if arguments.name is None else checked_name(arguments.name)
    if arguments.born is not None:
        check_born(arguments.born, at=now())
    with app.vault.transaction() as records:
        fields = records.subjects.rectify(arguments.subject, name=name, born=arguments.born)
        if arguments.request is not None:
            records.requests.close(arguments.request, RequestOutcome.GRANTED)
    return SubjectRectified(subject=arguments.subject, rectified=fields)


class SubjectRow(Row, frozen=True, kw_only=True):
    """A person, without their name."""

    subject: UUID
    added_at: str


class Subjects(Result, frozen=True, kw_only=True):
    """Result: every person, without names."""

    rows: list[SubjectRow]


def _list(app: App, _: NoArguments) -> Subjects:
    rows: list[SubjectRow] = []
    after = _FIRST
    while True:
        with app.vault.transaction() as records:
            page = records.subjects.page(after=after, limit=_PAGE)
        rows += [SubjectRow(subject=one, added_at=format_second(at)) for one, at in page]
        if len(page) < _PAGE:
            return Subjects(rows=rows)
        after = page[-1][0]


COMMANDS: Final = (
    Command(
        name="subject add",
        help="Add a person; the name is kept sealed",
        details="Prints the id of the person, which every other command takes.",
        example="subject add --name 'Ada Lovelace' --born 1985-12",
        arguments=AddSubject,
        result=SubjectAdded,
        run=_add,
    ),
    Command(
        name="subject show",
        help="Show the name and the month of birth of a person",
        arguments=ShowSubject,
        result=SubjectShown,
        run=_show,
    ),
    Command(
        name="subject rectify",
        help="Correct the name or the month of birth of a person (GDPR art. 16)",
        example="subject rectify SUBJECT --born 1985-11 --request REQUEST",
        arguments=RectifySubject,
        result=SubjectRectified,
        run=_rectify,
    ),
    Command(
        name="subject list",
        help="List the ids of all people, without names",
        arguments=NoArguments,
        result=Subjects,
        run=_list,
    ),
)
