"""Commands of erasure, restriction and retention."""

from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from runtime.causes.files import of_file
from trust.cli.command import (
    Arguments,
    Command,
    Family,
    File,
    NoArguments,
    Option,
    RequestToClose,
    Result,
    Subject,
)
from trust.composition import App
from trust.domain.due_dates import RequestKind, RequestOutcome, RightsRequest
from trust.domain.erasure_steps import Certificate, Remains, Rewritten
from trust.erasure import certificate
from trust.erasure.eraser import scope_of
from trust.erasure.ledger_copy import FileState
from trust.erasure.verification import Verified
from trust.errors import Refused, Residue, UsageError
from trust.keys import files

_NAMED: Final = 10
"""How many tables are named in a text; further ones are only counted."""


def _read_certificate(path: Path) -> File:
    try:
        return File(path.name, path.read_bytes())
    except OSError as exc:
        raise Refused(f"the file cannot be read: {of_file(exc)}") from None


_Number = Annotated[
    int, Option(help="the number of the erasure", metavar="NUMBER", is_positional=True)
]
_Out = Annotated[str | None, Option(help="the certificate to write", metavar="FILE")]


class Erase(Arguments, frozen=True, kw_only=True):
    """Arguments: the person, and the file of the certificate."""

    subject: Subject
    scope: Annotated[str, Option(help="a purpose, or all", metavar="all|PURPOSE")]
    out: _Out = None
    request: RequestToClose = None


class FoundAgainRow(msgspec.Struct, frozen=True):
    """An erased item that was found again and erased again."""

    where: list[str]
    files_rewritten: bool


class ErasureCertified(Certificate, frozen=True, kw_only=True):
    """Result: the certificate of an erasure, and the items found since."""

    certificate: str | None
    """The file of the certificate."""
    found_again: list[FoundAgainRow]
    document: bytes
    """The signed certificate."""


def _erase(app: App, arguments: Erase) -> ErasureCertified:
    if arguments.request is not None:
        with app.vault.transaction() as records:
            _check_request(records.requests.get(arguments.request), arguments.subject)
    number = app.eraser().erase(arguments.subject, scope_of(arguments.scope))
    if arguments.request is not None:
        with app.vault.transaction() as records:
            records.requests.close(arguments.request, RequestOutcome.GRANTED)
    return _certified(app, number, arguments.out)


def _check_request(request: RightsRequest, subject: UUID) -> None:
    """Raise before anything is erased if *request* is not an open one of *subject*."""
    if request.subject != subject:
        raise Refused("that --request is another person's")
    if request.kind is not RequestKind.ERASURE:
        raise Refused(f"that --request asks for {request.kind}, not for erasure")
    if request.closed_at is not None:
        raise Refused("that --request is closed; give the command without it")


def _certified(app: App, number: int, out: str | None) -> ErasureCertified:
    signed = app.eraser().certificate(number)
    return ErasureCertified(
        **msgspec.structs.asdict(signed.certificate),
        certificate=None if out is None else str(Path(out)),
        # These are signed in the ledger and are not part of the certificate.
        found_again=[
            FoundAgainRow(found.facts.where, found.is_rewritten)
            for found in app.eraser().found_again(number)
        ],
        document=certificate.encode(signed),
    )


def _save_erased(arguments: Erase, result: ErasureCertified) -> None:
    _save(arguments.out, result)


def _save(out: str | None, result: ErasureCertified) -> None:
    if out is not None:
        files.write(Path(out), result.document, mode=files.SECRET)


class VerifyErasure(Arguments, frozen=True, kw_only=True):
    """An erasure's number."""

    number: _Number


class ErasureVerified(Result, frozen=True, kw_only=True):
    """Result: the search found no data of the erased person."""

    number: int
    residue: int


def _verify(app: App, arguments: VerifyErasure) -> ErasureVerified:
    residue = app.eraser().verify(arguments.number)
    if residue:
        raise Residue(residue)
    return ErasureVerified(number=arguments.number, residue=0)


class ErasuresVerified(Verified, frozen=True, kw_only=True):
    """Result: the findings for all erasures, and the problems in words."""

    ledger_file: FileState
    problems: list[str]


def _verify_all(app: App, _: NoArguments) -> ErasuresVerified:
    found = app.verifier.look()
    ledger_file = app.ledger_copy.look().state
    problems = [f"erasure {number}: found in {', '.join(at)}" for number, at in found.back.items()]
    problems += [f"erasure {number}: its record does not verify" for number in found.tampered]
    if found.unread:
        unread = _named(found.unread)
        problems.append(f"not looked at, as another owner's or unreadable: {unread}")
    if found.not_rewritten:
        problems.append(f"{found.not_rewritten} erased again, and their files not rewritten yet")
    if ledger_file not in (FileState.COMPLETE, FileState.NOT_CONFIGURED):
        problems.append(f"the ledger's file is {ledger_file}")
    return ErasuresVerified(
        **msgspec.structs.asdict(found), ledger_file=ledger_file, problems=problems
    )


def _named(places: list[str]) -> str:
    more = len(places) - _NAMED
    return ", ".join(places[:_NAMED]) + (f" and {more} more" if more > 0 else "")


class ShowCertificate(Arguments, frozen=True, kw_only=True):
    """Arguments: the erasure's number, and the file of its certificate."""

    number: _Number
    out: _Out = None


def _certificate(app: App, arguments: ShowCertificate) -> ErasureCertified:
    return _certified(app, arguments.number, arguments.out)


def _save_certificate(arguments: ShowCertificate, result: ErasureCertified) -> None:
    _save(arguments.out, result)


class ErasuresReplayed(Result, frozen=True, kw_only=True):
    """Result: the items that were erased again after a restore."""

    erased_again: list[int]
    cleared: bool
    """Whether ingest may store values again."""
    not_rewritten: int
    problems: list[str]


def _replay(app: App, _: NoArguments) -> ErasuresReplayed:
    cleared = app.restore_guard.clear()
    verified = app.verifier.run()
    return ErasuresReplayed(
        erased_again=sorted({*cleared, *verified.erased_again}),
        cleared=app.stores.is_cleared(),
        not_rewritten=verified.not_rewritten,
        problems=[f"erasure {number}: {why}" for number, why in verified.failed.items()],
    )


class CheckCertificate(Arguments, frozen=True, kw_only=True):
    """Arguments: the certificate of an erasure."""

    certificate: Annotated[
        File,
        Option(
            help="the certificate", metavar="FILE", is_positional=True, reads=_read_certificate
        ),
    ]


class CertificateChecked(Result, frozen=True, kw_only=True):
    """Result: the content of a certificate that verifies."""

    valid: bool
    number: int
    subject: str
    scope: str
    requested_at: str
    erased_at: str
    rows: dict[str, int]
    handles: int
    exports: int
    keys_destroyed: list[str]
    leases: dict[str, int]
    files_rewritten: dict[str, int]
    remains: list[Remains]
    looked: dict[str, Rewritten] | UnsetType = UNSET


def _check(app: App, arguments: CheckCertificate) -> CertificateChecked:
    checked = certificate.check(arguments.certificate.content, app.keys.public_key)
    fields = msgspec.structs.asdict(checked)
    if checked.looked is None:
        del fields["looked"]
    return CertificateChecked(valid=True, **fields)


_ERASE: Final = Command(
    name="erase",
    help="erase SUBJECT --scope all|PURPOSE: erase the data of a person; an erasure that was"
    " cut off goes on",
    arguments=Erase,
    result=ErasureCertified,
    run=_erase,
    save=_save_erased,
    # An erasure publishes leases itself, because it is complete only after that.
    warning="What is stored of the person is gone for good, from backups too once they are old.",
)
_VERIFY: Final = Command(
    name="erase verify",
    help="erase verify NUMBER: look in every store for what erasure NUMBER took",
    arguments=VerifyErasure,
    result=ErasureVerified,
    run=_verify,
)
_VERIFY_ALL: Final = Command(
    name="erase verify all",
    help="erase verify [all]: look in every store for what all erasures took",
    arguments=NoArguments,
    result=ErasuresVerified,
    run=_verify_all,
)
_CERTIFICATE: Final = Command(
    name="erase certificate",
    help="erase certificate NUMBER: show the certificate; --out writes it, signed",
    arguments=ShowCertificate,
    result=ErasureCertified,
    run=_certificate,
    save=_save_certificate,
)
_REPLAY: Final = Command(
    name="erase replay",
    help="erase replay: after a restore, erase again what came back, and let ingest store",
    arguments=NoArguments,
    result=ErasuresReplayed,
    run=_replay,
)
_CHECK: Final = Command(
    name="erase check",
    help="erase check FILE: check a certificate; needs no database",
    arguments=CheckCertificate,
    result=CertificateChecked,
    run=_check,
)
_MEMBERS: Final = (_ERASE, _VERIFY, _VERIFY_ALL, _CERTIFICATE, _REPLAY, _CHECK)
_WORDS: Final = list(dict.fromkeys(word for one in _MEMBERS for word in one.name.split()[1:2]))
"""The words that select another command than to erase."""


class EraseLine(Arguments, frozen=True, kw_only=True):
    """The arguments of `erase`: an id, or a word that selects another command."""

    target: Annotated[
        str,
        Option(
            help="the id of the person whose data are erased, or one of the words above",
            metavar="|".join(["SUBJECT", *_WORDS]), is_positional=True,
        ),
    ]  # fmt: skip
    reference: Annotated[
        str | None,
        Option(
            help="the number of an erasure, or the file of a certificate", metavar="NUMBER|FILE",
            is_positional=True,
        ),
    ] = None  # fmt: skip
    scope: Annotated[
        str | None,
        Option(help="what is erased: a purpose, or all", metavar="all|PURPOSE"),
    ] = None
    out: _Out = None
    request: RequestToClose = None


def _resolve(line: EraseLine) -> tuple[Command[Any, Any], dict[str, Any]]:
    match line.target:
        case "verify" if line.reference in (None, "all"):
            return _VERIFY_ALL, {}
        case "verify":
            return _VERIFY, {"number": _number(line.reference)}
        case "certificate":
            return _CERTIFICATE, {"number": _number(line.reference), "out": line.out}
        case "replay":
            return _REPLAY, {}
        case "check":
            if line.reference is None:
                raise UsageError("name the file of the certificate")
            return _CHECK, {"certificate": Path(line.reference)}
    try:
        subject = UUID(line.target)
    except ValueError:
        raise UsageError(f"give a subject's id, or one of: {', '.join(sorted(_WORDS))}") from None
    if line.scope is None:
        raise UsageError("say what: --scope all, or --scope with the name of a purpose")
    return _ERASE, {
        "subject": subject,
        "scope": line.scope,
        "out": line.out,
        "request": line.request,
    }


def _number(reference: str | None) -> int:
    if not (reference or "").isdecimal():
        raise UsageError("give the number of an erasure; `erase SUBJECT` printed it")
    return int(reference or "")


COMMANDS: Final = (
    Family(
        name="erase",
        help="Erase the data of a person (GDPR art. 17); verify erasures, show certificates",
        details="\n".join(f"{one.help}." for one in _MEMBERS),
        example="erase SUBJECT --scope all --out certificate.json",
        arguments=EraseLine,
        members=_MEMBERS,
        resolve=_resolve,
        warning=_ERASE.warning,
    ),
)
