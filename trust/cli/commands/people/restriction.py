"""Commands of restriction and retention."""

from typing import Annotated, Final
from uuid import UUID

import msgspec

from trust.cli.command import Arguments, Command, NoArguments, Option, Result, Subject
from trust.composition import App
from trust.consent.restriction import Restricted
from trust.erasure.retention import Retained


class Restrict(Arguments, frozen=True, kw_only=True):
    """Arguments: the person, and the purpose."""

    subject: Subject
    purpose: Annotated[
        str | None, Option(help="only this purpose; all by default", metavar="NAME")
    ] = None


class RestrictionChanged(Result, frozen=True, kw_only=True):
    """Result: the processing that is restricted, or is not restricted any more."""

    decisions: list[UUID]
    series: int
    leases: dict[str, int]


def _restrict(app: App, arguments: Restrict) -> RestrictionChanged:
    return _changed(app.restriction.restrict(arguments.subject, arguments.purpose))


def _unrestrict(app: App, arguments: Restrict) -> RestrictionChanged:
    return _changed(app.restriction.lift(arguments.subject, arguments.purpose))


def _changed(restricted: Restricted) -> RestrictionChanged:
    return RestrictionChanged(
        decisions=restricted.decisions,
        series=restricted.series,
        leases=restricted.done.versions,
    )


class RetentionDone(Retained, frozen=True, kw_only=True):
    """Result: what was deleted, and for how many purposes retention failed."""

    problems: int


def _retain(app: App, _: NoArguments) -> RetentionDone:
    done = app.retainer.run()
    return RetentionDone(**msgspec.structs.asdict(done), problems=len(done.failures))


COMMANDS: Final = (
    Command(
        name="restrict",
        help="Keep the data of a person and use them for nothing (GDPR art. 18)",
        example="restrict SUBJECT --purpose home-monitoring",
        arguments=Restrict,
        result=RestrictionChanged,
        run=_restrict,
        changes_leases=True,
    ),
    Command(
        name="unrestrict",
        help="Lift a restriction: the data of a person are used again",
        arguments=Restrict,
        result=RestrictionChanged,
        run=_unrestrict,
        changes_leases=True,
    ),
    Command(
        name="retention run",
        help="Delete the data that their purpose no longer needs",
        arguments=NoArguments,
        result=RetentionDone,
        run=_retain,
    ),
)
