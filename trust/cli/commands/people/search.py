"""Commands that find people: lists with filters, and a search by name."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from trust.cli.command import Arguments, Command, Option, Result, Row
from trust.cli.format import format_second
from trust.composition import App
from trust.domain.identity.likeness import comparable
from trust.domain.subjects import PersonalDetails
from trust.errors import Refused
from trust.vault.records.subjects import SubjectFilter, SubjectState, SubjectSummary

_FIRST: Final = UUID(int=0)
_PAGE: Final = 1000
_MOST: Final = 1000

_PartOfName = Annotated[
    str | None,
    Option(help="those whose name contains this; looking at names is logged", metavar="TEXT"),
]


class ListSubjects(Arguments, frozen=True, kw_only=True):
    """Arguments: which people to list; None for no condition."""

    state: Annotated[
        SubjectState | None,
        Option(help="those in this state (default: all who are not erased)"),
    ] = None
    name: _PartOfName = None
    purpose: Annotated[
        str | None, Option(help="those who are measured for this purpose", metavar="NAME")
    ] = None
    agent: Annotated[
        str | None, Option(help="those who are measured at this gateway", metavar="AGENT")
    ] = None
    added_since: Annotated[
        dt.datetime | None, Option(help="those who were added since then", metavar="TIME")
    ] = None
    limit: Annotated[
        int | None, Option(help="at most so many; `next` says where to go on", metavar="N")
    ] = None
    after: Annotated[
        UUID | None, Option(help="go on after this person: the `next` of the page before")
    ] = None


class SubjectRow(Row, frozen=True, kw_only=True):
    """A person, without their name."""

    subject: UUID
    added_at: str
    purposes: list[str]
    agents: list[str]
    erased_at: str | UnsetType | None = UNSET


class SubjectList(Result, frozen=True, kw_only=True):
    """Result: people, without names."""

    next: UUID | UnsetType = UNSET
    """The last one of a full page."""
    rows: list[SubjectRow]


def _list(app: App, arguments: ListSubjects) -> SubjectList:
    if arguments.limit is not None and arguments.limit < 1:
        raise Refused("--limit is 1 or more")
    wanted = SubjectFilter(
        state=arguments.state,
        purpose=arguments.purpose,
        agent=arguments.agent,
        added_since=arguments.added_since,
    )
    shows_erased = arguments.state in (SubjectState.ERASED, SubjectState.ALL)
    text = None if arguments.name is None else _searched(arguments.name)
    if text is not None:
        _note_look(app, "subject list")
    rows: list[SubjectRow] = []
    for page in _pages(app, wanted, after=arguments.after or _FIRST):
        kept = page if text is None else [one for one, _ in _named(app, page, text)]
        rows += [_row(one, shows_erased=shows_erased) for one in kept]
        if arguments.limit is not None and len(rows) > arguments.limit:
            rows = rows[: arguments.limit]
            return SubjectList(next=rows[-1].subject, rows=rows)
    return SubjectList(rows=rows)


def _row(one: SubjectSummary, *, shows_erased: bool) -> SubjectRow:
    erased_at = None if one.erased_at is None else format_second(one.erased_at)
    return SubjectRow(
        subject=one.subject,
        added_at=format_second(one.added_at),
        purposes=one.purposes,
        agents=one.agents,
        erased_at=erased_at if shows_erased else UNSET,
    )


def _pages(app: App, wanted: SubjectFilter, *, after: UUID) -> Iterator[list[SubjectSummary]]:
    while True:
        with app.vault.transaction() as records:
            page = records.subjects.search(wanted, after=after, limit=_PAGE)
        yield page
        if len(page) < _PAGE:
            return
        after = page[-1].subject


def _searched(name: str) -> str:
    if not any(one.isalnum() for one in name):
        raise Refused("a name is searched by its letters: give at least one")
    return comparable(name)


def _named(
    app: App, page: list[SubjectSummary], text: str
) -> Iterator[tuple[SubjectSummary, PersonalDetails]]:
    """Yield those of *page* whose name contains *text*, with their details."""
    with app.vault.transaction() as records:
        details = records.subjects.details_of([one.subject for one in page])
    for one in page:
        found = details.get(one.subject)
        if found is not None and text in comparable(found.name):
            yield one, found


def _note_look(app: App, action: str) -> None:
    # Before the names are opened: a look that fails later was a look.
    with app.vault.transaction() as records:
        records.reidentifications.add_attempt(
            request=None, officer=None, action=action, outcome="done"
        )


class FindSubject(Arguments, frozen=True, kw_only=True):
    """Arguments: a part of a name."""

    name: Annotated[
        str,
        Option(
            help="a part of the name; - reads it from standard input", metavar="NAME",
            is_positional=True, may_be_standard_input=True,
        ),
    ]  # fmt: skip
    born: Annotated[
        str | None, Option(help="only those born in this month", metavar="YYYY-MM")
    ] = None
    limit: Annotated[int, Option(help="stop after so many people (default: 20)", metavar="N")] = 20


class FoundRow(Row, frozen=True, kw_only=True):
    """A person who was found, with their name."""

    subject: UUID
    name: str
    born: str | None
    purposes: list[str]
    added_at: str


class SubjectsFound(Result, frozen=True, kw_only=True):
    """Result: the people whose name contains the text."""

    more: bool
    """Whether the search stopped before it had looked at everybody."""
    rows: list[FoundRow]


def _find(app: App, arguments: FindSubject) -> SubjectsFound:
    if not 1 <= arguments.limit <= _MOST:
        raise Refused(f"--limit is from 1 to {_MOST}")
    text = _searched(arguments.name)
    _note_look(app, "subject find")
    rows: list[FoundRow] = []
    for page in _pages(app, SubjectFilter(), after=_FIRST):
        for one, details in _named(app, page, text):
            if arguments.born not in (None, details.born):
                continue
            if len(rows) == arguments.limit:
                return SubjectsFound(more=True, rows=rows)
            rows.append(_found(one, details))
    return SubjectsFound(more=False, rows=rows)


def _found(one: SubjectSummary, details: PersonalDetails) -> FoundRow:
    return FoundRow(
        subject=one.subject,
        name=details.name,
        born=details.born,
        purposes=one.purposes,
        added_at=format_second(one.added_at),
    )


COMMANDS: Final = (
    Command(
        name="subject list",
        help="List people who are not erased, by id, without names",
        details="""\
Without --limit everybody is listed. A filter by name opens the sealed names, and leaves a
row in `reidentify log`.""",
        example="subject list --purpose home-monitoring --state measured --limit 50",
        arguments=ListSubjects,
        result=SubjectList,
        run=_list,
    ),
    Command(
        name="subject find",
        help="Find people by a part of their name; leaves a row in `reidentify log`",
        details="""\
Case, accents, blanks, hyphens and apostrophes do not matter. People who are erased have no
name any more, and are not found.""",
        example="subject find lovelace",
        arguments=FindSubject,
        result=SubjectsFound,
        run=_find,
    ),
)
