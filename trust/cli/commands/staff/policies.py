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
from trust.composition import App
from trust.consent.policy_review import PolicyComparison
from trust.domain.approval import APPROVALS
from trust.domain.policy_file import MAX_FILE_BYTES
from trust.errors import PolicyError
from trust.reidentification.reidentification import load_key


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


COMMANDS: Final = (
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
