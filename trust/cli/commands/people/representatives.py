"""Commands about representatives, who decide for a person."""

import datetime as dt
import uuid
from typing import Annotated, Final
from uuid import UUID

from trust.cli.command import (
    Arguments,
    Command,
    Name,
    Option,
    Result,
    Row,
    SubjectFlag,
)
from trust.cli.commands.people.subjects import checked_name
from trust.cli.format import format_second
from trust.composition import App, now
from trust.decisions.representatives import Representative, RepresentativeRole, Shown
from trust.domain.purposes import is_name
from trust.errors import Refused


class AddRepresentative(Arguments, frozen=True, kw_only=True):
    """A guardian or a proxy of a person."""

    subject: SubjectFlag
    name: Name
    role: Annotated[
        RepresentativeRole,
        Option(help="guardian: holds parental authority; proxy: represents an adult"),
    ]
    shown_by: Annotated[Shown, Option(help="the document that proves the role")]
    purposes: Annotated[
        list[str] | None,
        Option(
            help="names of purposes between commas, or all; a guardian's default is all",
            is_separated=True,
        ),
    ] = None
    valid_from: Annotated[
        dt.datetime | None, Option(help="when the mandate begins; now by default", metavar="TIME")
    ] = None
    valid_to: Annotated[
        dt.datetime | None, Option(help="when the mandate ends; open by default", metavar="TIME")
    ] = None


class RepresentativeAdded(Result, frozen=True, kw_only=True):
    """Result: the new representative's id."""

    representative: UUID


def _add(app: App, arguments: AddRepresentative) -> RepresentativeAdded:
    purposes = [] if arguments.purposes == ["all"] else arguments.purposes
    if not all(map(is_name, purposes or [])):
        raise Refused("--purposes are names of purposes, without versions, or all")
    if purposes is None and arguments.role is RepresentativeRole.PROXY:
        # Parental authority covers all purposes; a mandate covers the purposes that it names.
        raise Refused("say what the mandate covers: --purposes NAME,NAME or --purposes all")
    valid_from = arguments.valid_from or now()
    if arguments.valid_to is not None and arguments.valid_to <= valid_from:
        raise Refused("--valid-to is not after --valid-from")
    representative = Representative(
        uuid.uuid4(),
        arguments.subject,
        arguments.role,
        purposes or [],
        valid_from,
        arguments.valid_to,
        shown=arguments.shown_by,
    )
    with app.vault.transaction() as records:
        records.representatives.add(representative, name=checked_name(arguments.name))
    return RepresentativeAdded(representative=representative.representative)


class ListRepresentatives(Arguments, frozen=True, kw_only=True):
    """A person's id."""

    subject: SubjectFlag


class RepresentativeRow(Row, frozen=True, kw_only=True):
    """A representative, without their name."""

    representative: UUID
    role: RepresentativeRole
    purposes: list[str]
    valid_from: str
    valid_to: str | None
    ended: bool
    shown_by: str


class RepresentativeList(Result, frozen=True, kw_only=True):
    """The representatives of a person."""

    rows: list[RepresentativeRow]


def _list(app: App, arguments: ListRepresentatives) -> RepresentativeList:
    with app.vault.transaction() as records:
        found = records.representatives.of(arguments.subject)
    return RepresentativeList(rows=[_row(one) for one in found])


def _row(one: Representative) -> RepresentativeRow:
    return RepresentativeRow(
        representative=one.representative,
        role=one.role,
        purposes=one.purposes or ["all"],
        valid_from=format_second(one.valid_from),
        valid_to=None if one.valid_to is None else format_second(one.valid_to),
        ended=one.ended_at is not None,
        shown_by=one.shown or "not stated",
    )


class EndRepresentative(Arguments, frozen=True, kw_only=True):
    """A representative's id."""

    representative: Annotated[
        UUID,
        Option(help="the id of the representative", metavar="REPRESENTATIVE", is_positional=True),
    ]


class RepresentativeEnded(Result, frozen=True, kw_only=True):
    """Result: the representative whose mandate ended."""

    representative: UUID
    ended: bool


def _end(app: App, arguments: EndRepresentative) -> RepresentativeEnded:
    with app.vault.transaction() as records:
        records.representatives.end(arguments.representative)
    return RepresentativeEnded(representative=arguments.representative, ended=True)


COMMANDS: Final = (
    Command(
        name="representative add",
        help="Add a guardian or a proxy, who decides for a person",
        example="representative add --subject ID --name - --role guardian"
        " --shown-by birth-certificate",
        arguments=AddRepresentative,
        result=RepresentativeAdded,
        run=_add,
    ),
    Command(
        name="representative list",
        help="List the representatives of a person, without names",
        arguments=ListRepresentatives,
        result=RepresentativeList,
        run=_list,
    ),
    Command(
        name="representative end",
        help="End the mandate of a representative",
        arguments=EndRepresentative,
        result=RepresentativeEnded,
        run=_end,
    ),
)
