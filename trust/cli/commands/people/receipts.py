"""Commands that give a person their documents: a receipt of decisions, an export of data."""

import datetime as dt
import uuid
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from trust.cli.command import (
    Arguments,
    Command,
    File,
    LocalCommand,
    NoArguments,
    Option,
    RequestToClose,
    Result,
    Row,
    Subject,
    read_file,
)
from trust.cli.format import format_second
from trust.composition import App, now
from trust.decisions import consent_receipt, evidence
from trust.decisions.consent_receipt import Statement
from trust.decisions.decisions import Decision, GivenBy
from trust.decisions.standing import Standing
from trust.errors import NotFound
from trust.keys import files
from trust.reidentification.reidentification import load_public_key
from trust.rights import export_files
from trust.rights.export_files import Seal


class MakeReceipt(Arguments, frozen=True, kw_only=True):
    """Arguments: the person, and how long the receipt is valid."""

    subject: Subject
    out: Annotated[str, Option(help="the receipt to write", metavar="FILE")]
    valid_for: Annotated[
        dt.timedelta, Option(help="how long it is good (default: 90d)", metavar="90d")
    ] = dt.timedelta(days=90)


class ReceiptMade(Result, frozen=True, kw_only=True):
    """A receipt."""

    receipt: UUID
    file: str
    decisions: int
    expires_at: str
    next: str
    document: bytes
    """The receipt itself."""


def _make_receipt(app: App, arguments: MakeReceipt) -> ReceiptMade:
    issued_at = now()
    with app.vault.transaction() as records:
        records.subjects.personal_details(arguments.subject)
        taken = records.decisions.signed_of(arguments.subject)
        if not taken:
            raise NotFound("decision of that subject", "There is nothing to certify yet.")
        references = records.decisions.references(arguments.subject)
        policies = [records.purposes.signed(*one) for one in references]
    statement = Statement(
        receipt=uuid.uuid4(),
        subject=arguments.subject,
        issued_at=issued_at,
        expires_at=issued_at + arguments.valid_for,
        decisions=[],
        purposes=[],
    )
    document = consent_receipt.make(
        statement,
        taken,
        [(policy.document, policy.signature) for policy in policies],
        key_id=app.keys.key_id,
        sign=app.keys.sign,
    )
    out = Path(arguments.out)
    return ReceiptMade(
        receipt=statement.receipt,
        file=str(out),
        decisions=len(taken),
        expires_at=format_second(statement.expires_at),
        next=f"check it with: vitalveil trust verify {out.name} --key trust.pub",
        document=document,
    )


def _save_receipt(arguments: MakeReceipt, made: ReceiptMade) -> None:
    files.write(Path(arguments.out), made.document, mode=files.SECRET)


class VerifyReceipt(Arguments, frozen=True, kw_only=True):
    """Arguments: the receipt, and the public key of the trust that signed it."""

    file: Annotated[
        File, Option(help="the receipt", metavar="FILE", is_positional=True, reads=read_file)
    ]
    key: Annotated[
        File, Option(help="the public key of trust", metavar="trust.pub", reads=read_file)
    ]
    subject: Annotated[UUID | None, Option(help="the person whose receipt it should be")] = None
    seen: Annotated[
        File | None,
        Option(help="an earlier receipt, which this one must continue", reads=read_file),
    ] = None
    at: Annotated[
        dt.datetime | None, Option(help="check it as of this time; now by default", metavar="TIME")
    ] = None


class VerifiedRow(Row, frozen=True, kw_only=True):
    """The latest decision about one purpose."""

    purpose: str
    state: str
    standing: Standing
    quantities: list[str]
    recipients: list[str]
    basis: str
    given_by: GivenBy
    captured_by: str
    text_sha256: str | None
    locale: str | None
    evidence: evidence.Proof
    decided_at: str
    valid_to: str | None


class EarlierRow(Row, frozen=True, kw_only=True):
    """A decision that a later one replaced."""

    decision: UUID
    purpose: str
    state: str
    standing: Standing
    decided_at: str


class ReceiptVerified(Result, frozen=True, kw_only=True):
    """Result: the content of a receipt that verifies."""

    receipt: UUID
    subject: UUID
    issued_at: str
    expires_at: str
    decisions: int
    rows: list[VerifiedRow]
    earlier: list[EarlierRow]
    """The decisions that are not the latest of their purpose."""


def _verify_receipt(arguments: VerifyReceipt) -> ReceiptVerified:
    at = arguments.at or now()
    found = consent_receipt.check(
        arguments.file.content,
        load_public_key(arguments.key.content, name=arguments.key.name),
        at=at,
        subject=arguments.subject,
        seen=None if arguments.seen is None else arguments.seen.content,
    )
    states = found.states(at=at)
    standings = found.standings(at=at)
    latest = {decision.purpose: decision for decision in found.decisions}
    needs = {purpose.reference: purpose.needs_consent for purpose in found.purposes}
    return ReceiptVerified(
        receipt=found.statement.receipt,
        subject=found.statement.subject,
        issued_at=format_second(found.statement.issued_at),
        expires_at=format_second(found.statement.expires_at),
        decisions=len(found.decisions),
        rows=[
            _row(
                one,
                states[name],
                standings[one.decision],
                needs_consent=needs[f"{name}@{one.version}"],
            )
            for name, one in latest.items()
        ],
        earlier=[
            EarlierRow(
                decision=one.decision,
                purpose=f"{one.purpose}@{one.version}",
                state=one.state,
                standing=standings[one.decision],
                decided_at=format_second(one.decided_at),
            )
            for one in found.decisions
            if one is not latest[one.purpose]
        ],
    )


def _row(one: Decision, state: str, standing: Standing, *, needs_consent: bool) -> VerifiedRow:
    return VerifiedRow(
        purpose=f"{one.purpose}@{one.version}",
        state=state,
        standing=standing,
        quantities=one.quantities,
        recipients=one.recipients,
        basis="consent" if needs_consent else "information",
        given_by=one.given_by,
        captured_by=one.capture.method,
        text_sha256=one.capture.text_sha256,
        locale=one.capture.locale,
        evidence=evidence.proof(one),
        decided_at=format_second(one.decided_at),
        valid_to=None if one.valid_to is None else format_second(one.valid_to),
    )


_Passphrase = Annotated[
    str,
    Option(
        help="the file whose first line is the passphrase", metavar="FILE",
        flag="passphrase-file", reads=export_files.read_passphrase,
    ),
]  # fmt: skip


class MakeExport(Arguments, frozen=True, kw_only=True):
    """Arguments: the person, and where trust keeps the file until it is fetched."""

    subject: Subject
    out: Annotated[str, Option(help="the encrypted export to write", metavar="FILE")]
    passphrase: _Passphrase
    available_for: Annotated[
        dt.timedelta, Option(help="when it is deleted again (default: 30d)", metavar="30d")
    ] = dt.timedelta(days=30)
    request: RequestToClose = None
    seal: Annotated[
        Seal,
        Option(
            help="zip, which 7-Zip and others open (default), or sealed, for `export open`",
            flag="format",
        ),
    ] = Seal.ZIP


class ExportWritten(Result, frozen=True, kw_only=True):
    """Result: an export that is ready to be fetched."""

    export: UUID
    file: str
    observations: int
    deleted_at: str
    unsaid: list[str]
    """The keys of [notice] in the settings that are missing: the person must be told otherwise."""


def _make_export(app: App, arguments: MakeExport) -> ExportWritten:
    handed = app.exporter.export(
        arguments.subject,
        Path(arguments.out),
        arguments.passphrase,
        available_for=arguments.available_for,
        request=arguments.request,
        seal=arguments.seal,
    )
    return ExportWritten(
        export=handed.export,
        file=str(handed.file),
        observations=handed.observations,
        deleted_at=format_second(handed.expires_at),
        unsaid=handed.unsaid,
    )


class ExportsPurged(Result, frozen=True, kw_only=True):
    """Result: how many exports were deleted."""

    deleted: int


def _purge_exports(app: App, _: NoArguments) -> ExportsPurged:
    return ExportsPurged(deleted=app.exporter.purge())


class OpenExport(Arguments, frozen=True, kw_only=True):
    """Arguments: the path of an export on the person's machine; it may be larger than memory."""

    file: Annotated[str, Option(help="the encrypted export", metavar="FILE", is_positional=True)]
    out: Annotated[str, Option(help="the ZIP archive to write", metavar="FILE.zip")]
    passphrase: _Passphrase


class ExportOpened(Result, frozen=True, kw_only=True):
    """Result: the decrypted export."""

    file: str
    bytes: int


def _open_export(arguments: OpenExport) -> ExportOpened:
    out = Path(arguments.out)
    length = export_files.unpack(Path(arguments.file), out, arguments.passphrase)
    return ExportOpened(file=str(out), bytes=length)


COMMANDS: Final = (
    Command(
        name="receipt",
        help="Write a signed receipt of a person's decisions, for that person",
        example="receipt SUBJECT --out receipt.json",
        arguments=MakeReceipt,
        result=ReceiptMade,
        run=_make_receipt,
        save=_save_receipt,
    ),
    LocalCommand(
        name="verify",
        help="Check a receipt; needs neither a database nor settings",
        example="verify receipt.json --key trust.pub",
        arguments=VerifyReceipt,
        result=ReceiptVerified,
        run=_verify_receipt,
    ),
    Command(
        name="export make",
        help="Write all data of a person, encrypted for that person (GDPR art. 15, 20)",
        example="export make SUBJECT --out person.zip --passphrase-file passphrase.txt",
        arguments=MakeExport,
        result=ExportWritten,
        run=_make_export,
    ),
    Command(
        name="export purge",
        help="Delete the exports whose time is over",
        arguments=NoArguments,
        result=ExportsPurged,
        run=_purge_exports,
        warning="Exports whose time is over are deleted.",
    ),
    LocalCommand(
        name="export open",
        help="Decrypt an export; needs neither a database nor settings",
        example="export open person.vve --out person.zip --passphrase-file passphrase.txt",
        arguments=OpenExport,
        result=ExportOpened,
        run=_open_export,
    ),
)
