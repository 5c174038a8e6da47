"""A command that lists the files that hold a person's data."""

from typing import Annotated, Final
from uuid import UUID

from trust.cli.command import Arguments, Command, Option, Result, Row
from trust.cli.format import format_second
from trust.composition import App


class ListExports(Arguments, frozen=True, kw_only=True):
    """Arguments: which exports to list."""

    subject: Annotated[UUID | None, Option(help="those of this person", metavar="ID")] = None
    all: Annotated[bool, Option(help="those whose file is deleted, too")] = False


class ExportRow(Row, frozen=True, kw_only=True):
    """A file that holds, or held, a person's data."""

    export: UUID
    subject: UUID
    request: UUID | None
    """The request that it answers."""
    made_at: str
    expires_at: str
    deleted_at: str | None
    observations: int
    file: str


class ExportList(Result, frozen=True, kw_only=True):
    """Result: exports, the oldest first."""

    rows: list[ExportRow]


def _list(app: App, arguments: ListExports) -> ExportList:
    with app.vault.transaction() as records:
        found = records.exports.listed(subject=arguments.subject, with_deleted=arguments.all)
    return ExportList(
        rows=[
            ExportRow(
                export=one.record.export,
                subject=one.record.subject,
                request=one.record.request,
                made_at=format_second(one.made_at),
                expires_at=format_second(one.record.expires_at),
                deleted_at=None if one.deleted_at is None else format_second(one.deleted_at),
                observations=one.record.observations,
                file=one.record.file,
            )
            for one in found
        ]
    )


COMMANDS: Final = (
    Command(
        name="export list",
        help="List the files that hold a person's data until they are deleted",
        example="export list --subject ID --all",
        arguments=ListExports,
        result=ExportList,
        run=_list,
    ),
)
