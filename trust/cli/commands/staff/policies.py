"""Commands about policies: compare a file, approve it as an officer, load it."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from runtime.causes.files import of_file
from trust.cli.command import (
    Arguments,
    Command,
    File,
    OfficerFlag,
    OfficerKey,
    Option,
    Result,
    Row,
)
from trust.cli.format import format_second
from trust.composition import App
from trust.consent.policy_review import PolicyComparison
from trust.domain.approval import APPROVALS
from trust.domain.policy_file import MAX_FILE_BYTES
from trust.domain.purposes import Allowed, Article6, Article9, parse_reference
from trust.errors import NotFound, PolicyError
from trust.reidentification.reidentification import load_key
from wire.quantities import BY_NAME


def _read(path: Path) -> File:
    try:
        with path.open("rb") as file:
            # One byte above the limit, so that the parser reports a file that is too long.
            return File(path.name, file.read(4 * MAX_FILE_BYTES + 1))
    except OSError as exc:
        raise PolicyError(
            "file", f"it cannot be read: {of_file(exc).text}", of_file(exc).remedy
        ) from None


_PolicyFile = Annotated[
    File, Option(help="the policy, YAML", metavar="FILE", is_positional=True, reads=_read)
]


class CheckPolicy(Arguments, frozen=True, kw_only=True):
    """A policy file."""

    file: _PolicyFile


class WideningRow(Row, frozen=True, kw_only=True):
    """One thing that a policy allows and an earlier version did not."""

    kind: str
    against: str
    widens: str


class PolicyChecked(Result, frozen=True, kw_only=True):
    """Result: the comparison of a policy with the policy in force."""

    purpose: str
    sha256: str
    approved_by: list[UUID]
    loaded: bool
    approvals_needed: int
    rows: list[WideningRow]


def _check(app: App, arguments: CheckPolicy) -> PolicyChecked:
    looked = app.policies.look(arguments.file.content)
    return PolicyChecked(
        purpose=looked.purpose.reference,
        sha256=looked.subject.policy_sha256,
        approved_by=looked.approvers,
        loaded=looked.is_loaded,
        approvals_needed=APPROVALS if looked.widens else 0,
        rows=[
            WideningRow(kind=one.kind, against=one.against, widens=one.words)
            for one in looked.widens
        ],
    )


class ApprovePolicy(Arguments, frozen=True, kw_only=True):
    """Arguments: the policy file, and the officer who approves it."""

    file: _PolicyFile
    officer: OfficerFlag
    key: OfficerKey


class PolicyApproved(Result, frozen=True, kw_only=True):
    """Result: the policy, and the approved sentences."""

    purpose: str
    sha256: str
    approved_by: list[UUID]
    widens: list[str]


def _approve(app: App, arguments: ApprovePolicy) -> PolicyApproved:
    key = load_key(arguments.key.content, name=arguments.key.name)
    looked = app.policies.approve(arguments.file.content, arguments.officer, key)
    return PolicyApproved(
        purpose=looked.purpose.reference,
        sha256=looked.subject.policy_sha256,
        approved_by=looked.approvers,
        widens=_sentences(looked),
    )


class LoadPolicy(Arguments, frozen=True, kw_only=True):
    """A policy file."""

    file: _PolicyFile
    first: Annotated[
        bool,
        Option(
            help="load it without officers: only as long as there never was a person or an"
            " officer here"
        ),
    ] = False


class PolicyLoaded(Result, frozen=True, kw_only=True):
    """Result: the policy that is in force."""

    purpose: str
    sha256: str
    approved_by: list[UUID]
    added: bool
    """False if the same version was loaded before."""
    widens: list[str]


def _load(app: App, arguments: LoadPolicy) -> PolicyLoaded:
    looked, added = app.policies.load(arguments.file.content, first=arguments.first)
    return PolicyLoaded(
        purpose=looked.purpose.reference,
        sha256=looked.subject.policy_sha256,
        approved_by=looked.approvers,
        added=added,
        widens=_sentences(looked),
    )


def _sentences(looked: PolicyComparison) -> list[str]:
    return [one.sentence for one in looked.widens]


class ListPolicies(Arguments, frozen=True, kw_only=True):
    """Arguments: which policies to list."""

    purpose: Annotated[
        str | None, Option(help="only the versions of this purpose", metavar="NAME")
    ] = None
    newest: Annotated[bool, Option(help="only the newest version of each purpose")] = False


class PolicyRow(Row, frozen=True, kw_only=True):
    """A version of a purpose."""

    purpose: str
    newest: bool
    loaded_at: str
    art6: Article6
    art9: Article9
    quantities: list[str]
    raw_days: int
    aggregate_days: int


class Policies(Result, frozen=True, kw_only=True):
    """Result: the versions that were loaded, by name and number."""

    rows: list[PolicyRow]


def _list(app: App, arguments: ListPolicies) -> Policies:
    rows = []
    with app.vault.transaction() as records:
        found = [records.purposes.get(*one) for one in records.purposes.references()]
        newest = {one.name: one.version for one in sorted(found, key=lambda one: one.version)}
        for one in found:
            is_newest = newest[one.name] == one.version
            if arguments.purpose not in (None, one.name) or (arguments.newest and not is_newest):
                continue
            rows.append(
                PolicyRow(
                    purpose=one.reference,
                    newest=is_newest,
                    loaded_at=format_second(records.purposes.loaded_at(one.name, one.version)),
                    art6=one.art6,
                    art9=one.art9,
                    quantities=sorted(one.quantities),
                    raw_days=one.retention.raw_days,
                    aggregate_days=one.retention.aggregate_days,
                )
            )
    return Policies(rows=rows)


class ShowPolicy(Arguments, frozen=True, kw_only=True):
    """A version of a purpose."""

    purpose: Annotated[
        str,
        Option(
            help="the purpose; without a version the newest one", metavar="NAME[@VERSION]",
            is_positional=True,
        ),
    ]  # fmt: skip


class QuantityRow(Row, frozen=True, kw_only=True):
    """The finest detail of one quantity that a purpose needs."""

    quantity: str
    step: str
    interval_s: float
    time_step_s: float
    aggregate: str


class PolicyShown(Result, frozen=True, kw_only=True):
    """Result: a version of a purpose, as it was signed."""

    purpose: str
    loaded_at: str
    art6: Article6
    art9: Article9
    needs_consent: bool
    recipients: list[str]
    deny: list[str]
    raw_days: int
    aggregate_days: int
    texts: dict[str, str]
    """The SHA-256 of the text shown to people, by locale."""
    rows: list[QuantityRow]


def _show(app: App, arguments: ShowPolicy) -> PolicyShown:
    name, _, _version = arguments.purpose.partition("@")
    with app.vault.transaction() as records:
        versions = records.purposes.versions(name)
        reference = parse_reference(arguments.purpose)
        if not versions or ("@" in arguments.purpose and reference is None):
            raise NotFound("purpose", "See `vitalveil trust policy list`.")
        one = records.purposes.get(name, versions[0] if reference is None else reference[1])
        loaded_at = records.purposes.loaded_at(one.name, one.version)
    return PolicyShown(
        purpose=one.reference,
        loaded_at=format_second(loaded_at),
        art6=one.art6,
        art9=one.art9,
        needs_consent=one.needs_consent,
        recipients=one.recipients,
        deny=one.deny,
        raw_days=one.retention.raw_days,
        aggregate_days=one.retention.aggregate_days,
        texts=one.texts_by_locale,
        rows=[_quantity(name, allowed) for name, allowed in sorted(one.quantities.items())],
    )


def _quantity(name: str, allowed: Allowed) -> QuantityRow:
    known = BY_NAME[name]
    return QuantityRow(
        quantity=name,
        step=f"{allowed.step / known.per_unit:g} {known.unit}",
        interval_s=allowed.interval_ms / 1000,
        time_step_s=allowed.time_step_ms / 1000,
        aggregate=allowed.aggregate.name.lower(),
    )


COMMANDS: Final = (
    Command(
        name="policy list",
        help="List the versions of purposes that were loaded",
        example="policy list --newest",
        arguments=ListPolicies,
        result=Policies,
        run=_list,
    ),
    Command(
        name="policy show",
        help="Show what a version of a purpose measures, for whom and how long",
        example="policy show home-monitoring@1",
        arguments=ShowPolicy,
        result=PolicyShown,
        run=_show,
    ),
    Command(
        name="policy check",
        help="Tell in words what a policy file would widen; nothing is changed",
        example="policy check care.yaml",
        arguments=CheckPolicy,
        result=PolicyChecked,
        run=_check,
    ),
    Command(
        name="policy approve",
        help="Approve, as an officer, a policy file and what it widens",
        example="policy approve care.yaml --officer ID --key officer.key",
        arguments=ApprovePolicy,
        result=PolicyApproved,
        run=_approve,
    ),
    Command(
        name="policy load",
        help="Bring a version of a purpose into force",
        details="""\
A version that allows more than the newest version, or more than a version that people
decided on, comes into force only after two officers have approved the file and the words
of `policy check`. A version that widens nothing needs no approval.""",
        example="policy load care.yaml",
        arguments=LoadPolicy,
        result=PolicyLoaded,
        run=_load,
    ),
)
