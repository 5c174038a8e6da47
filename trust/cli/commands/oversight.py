"""Commands that show problems: the audit of decisions, and the units that were set aside."""

from typing import Final
from uuid import UUID

from trust.cli.command import Command, NoArguments, Result, Row
from trust.composition import App
from trust.domain.units import SENTENCES, Cause, SetAside, UnitKind, Work

_MOST: Final = 10_000


class AuditRow(Row, frozen=True, kw_only=True):
    """One problem of a chain of decisions or of a version of a purpose."""

    subject: UUID | None
    purpose: str
    problem: str
    decisions: int | None


class Audited(Result, frozen=True, kw_only=True):
    """Result: the problems that the audit found."""

    decisions: int
    missing: int
    unproven: int
    policies: str
    policies_gone: int
    policies_unapproved: int
    problems: int
    rows: list[AuditRow]


def _audit(app: App, _: NoArguments) -> Audited:
    found = app.audit.look()
    read = app.audit.read()
    policies = app.audit.policies()
    rows = [
        AuditRow(subject=subject, purpose=purpose, problem="missing", decisions=count)
        for (subject, purpose), count in sorted(found.cut.items())
    ]
    rows += [
        AuditRow(subject=subject, purpose=purpose, problem="does not verify", decisions=None)
        for subject, purpose in sorted(read.broken)
    ]
    rows += [
        AuditRow(subject=None, purpose=f"{name}@{version}", problem=problem, decisions=None)
        for (name, version), problem in sorted(policies.problems.items())
    ]
    return Audited(
        decisions=found.decisions,
        missing=found.missing,
        unproven=read.unproven,
        policies="as signed" if read.policies_verify else "one does not verify",
        policies_gone=policies.gone,
        policies_unapproved=policies.unapproved,
        problems=found.missing
        + len(read.broken)
        + (not read.policies_verify)
        + len(policies.problems)
        + policies.gone,
        rows=rows,
    )


class UnitRow(Row, frozen=True, kw_only=True):
    """A unit of the daemon's work that failed and will be tried again."""

    kind: UnitKind
    unit: str
    cause: Cause
    work: Work
    stands_in: str
    failures: int
    failed_since: str
    next_attempt_at: str
    problem: str
    remedy: str


class UnitsSetAside(Result, frozen=True, kw_only=True):
    """Result: the units that were set aside."""

    problems: int
    rows: list[UnitRow]


def _list_units(app: App, _: NoArguments) -> UnitsSetAside:
    with app.vault.transaction() as records:
        found = records.set_aside.all(limit=_MOST)
    return UnitsSetAside(problems=len(found), rows=[_row(one) for one in found])


def _row(one: SetAside) -> UnitRow:
    problem, remedy = SENTENCES[one.failure.cause]
    return UnitRow(
        kind=one.failure.unit.kind,
        unit=one.failure.unit.name,
        cause=one.failure.cause,
        work=one.work,
        stands_in=one.stands_in,
        failures=one.failures,
        failed_since=one.failed_since.isoformat(timespec="seconds"),
        next_attempt_at=one.next_attempt_at.isoformat(timespec="seconds"),
        problem=problem,
        remedy=remedy,
    )


class UnitsHastened(Result, frozen=True, kw_only=True):
    """Result: how many units are tried again now."""

    units: int


def _retry_units(app: App, _: NoArguments) -> UnitsHastened:
    with app.vault.transaction() as records:
        return UnitsHastened(units=records.set_aside.hasten())


COMMANDS: Final = (
    Command(
        name="audit",
        help="Check that every decision and policy is there, and is as it was signed",
        details="Exit code 1 says that something is missing or was changed.",
        arguments=NoArguments,
        result=Audited,
        run=_audit,
    ),
    Command(
        name="unit list",
        help="List the gateways, people, purposes and jobs whose work failed, with its cause",
        arguments=NoArguments,
        result=UnitsSetAside,
        run=_list_units,
    ),
    Command(
        name="unit retry",
        help="Try the failed work of all of them again now",
        arguments=NoArguments,
        result=UnitsHastened,
        run=_retry_units,
    ),
)
