"""What the commands about a person's rights do."""

import argparse
import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from trust.composition import App, now
from trust.decisions import consent_receipt, evidence
from trust.decisions.consent_receipt import Statement
from trust.decisions.reminders import KIND, SHOWN_BEFORE, Reminder, reminder
from trust.decisions.representatives import Representative, RepresentativeRole, check_born
from trust.domain import due_dates
from trust.domain.due_dates import RequestOutcome, RightsRequest
from trust.domain.purposes import is_name
from trust.domain.units import Cause, UnitKind
from trust.errors import NotFound, Refused
from trust.keys import files
from trust.reidentification.reidentification import read_public_key
from trust.rights import export_files
from trust.vault.isolation import attempt

Result = dict[str, Any]
MAX_NAME: Final = 200
_FIRST: Final = UUID(int=0)
_PAGE: Final = 1000


def name_of(arguments: argparse.Namespace) -> str:
    """
    Return the name that a command was given.

    Raises:
        Refused: It is empty, or too long.
    """
    name: str = arguments.name.strip()
    if not 1 <= len(name) <= MAX_NAME:
        raise Refused(f"--name has 1 to {MAX_NAME} characters")
    return name


def _receipt(app: App, arguments: argparse.Namespace) -> Result:
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
    receipt = consent_receipt.make(
        statement,
        taken,
        [(policy.document, policy.signature) for policy in policies],
        key_id=app.keys.key_id,
        sign=app.keys.sign,
    )
    files.write(arguments.out, receipt, mode=files.SECRET)
    return {
        "receipt": str(statement.receipt),
        "file": str(arguments.out),
        "decisions": len(taken),
        "expires_at": _time(statement.expires_at),
        "next": f"check it with: vitalveil trust verify {arguments.out.name} --key trust.pub",
    }


def verify(arguments: argparse.Namespace) -> Result:
    """Check a receipt: no database, no settings, no network."""
    at = arguments.at or now()
    found = consent_receipt.check(
        files.read(arguments.file),
        read_public_key(arguments.key),
        at=at,
        subject=arguments.subject,
        seen=None if arguments.seen is None else files.read(arguments.seen),
    )
    states = found.states(at=at)
    latest = {decision.purpose: decision for decision in found.decisions}
    needs = {purpose.reference: purpose.needs_consent for purpose in found.purposes}
    return {
        "receipt": str(found.statement.receipt),
        "subject": str(found.statement.subject),
        "issued_at": _time(found.statement.issued_at),
        "expires_at": _time(found.statement.expires_at),
        "decisions": len(found.decisions),
        "rows": [
            {
                "purpose": f"{name}@{decision.version}",
                "state": states[name],
                "quantities": decision.quantities,
                "recipients": decision.recipients,
                "basis": "consent" if needs[f"{name}@{decision.version}"] else "information",
                "given_by": decision.given_by,
                "captured_by": decision.capture.method,
                "text_sha256": decision.capture.text_sha256,
                "locale": decision.capture.locale,
                "evidence": evidence.proof(decision),
                "decided_at": _time(decision.decided_at),
                "valid_to": None if decision.valid_to is None else _time(decision.valid_to),
            }
            for name, decision in latest.items()
        ],
    }


def _subject_show(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        identity = records.subjects.personal_details(arguments.subject)
    return {"subject": str(arguments.subject), "name": identity.name, "born": identity.born}


def _subject_list(app: App, _arguments: argparse.Namespace) -> Result:
    rows, after = [], _FIRST
    while True:
        with app.vault.transaction() as records:
            page = records.subjects.page(after=after, limit=_PAGE)
        rows += [{"subject": str(subject), "added_at": _time(at)} for subject, at in page]
        if len(page) < _PAGE:
            return {"rows": rows}
        after = page[-1][0]


def _subject_rectify(app: App, arguments: argparse.Namespace) -> Result:
    if arguments.name is None and arguments.born is None:
        raise Refused("give --name, --born or both")
    name = None if arguments.name is None else name_of(arguments)
    if arguments.born is not None:
        check_born(arguments.born, at=now())
    with app.vault.transaction() as records:
        fields = records.subjects.rectify(arguments.subject, name=name, born=arguments.born)
        if arguments.request is not None:
            records.requests.close(arguments.request, RequestOutcome.GRANTED)
    return {"subject": str(arguments.subject), "rectified": fields}


def _representative_add(app: App, arguments: argparse.Namespace) -> Result:
    purposes = [] if arguments.purposes == ["all"] else arguments.purposes
    if not all(map(is_name, purposes or [])):
        raise Refused("--purposes are names of purposes, without versions, or all")
    if purposes is None and arguments.role is RepresentativeRole.PROXY:
        # Parental authority covers everything; a mandate covers what it says.
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
        records.representatives.add(representative, name=name_of(arguments))
    return {"representative": str(representative.representative)}


def _representative_list(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        found = records.representatives.of(arguments.subject)
    return {
        "rows": [
            {
                "representative": str(one.representative),
                "role": one.role,
                "purposes": one.purposes or ["all"],
                "valid_from": _time(one.valid_from),
                "valid_to": None if one.valid_to is None else _time(one.valid_to),
                "ended": one.ended_at is not None,
                "shown_by": one.shown or "not stated",
            }
            for one in found
        ]
    }


def _representative_end(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        records.representatives.end(arguments.representative)
    return {"representative": str(arguments.representative), "ended": True}


def _request_add(app: App, arguments: argparse.Namespace) -> Result:
    at = now()
    received_at = at if arguments.received_at == "now" else arguments.received_at
    if received_at > at:
        raise Refused("--received-at is in the future")
    request = due_dates.received(
        uuid.uuid4(), arguments.subject, arguments.kind, received_at=received_at
    )
    with app.vault.transaction() as records:
        records.subjects.data_key(arguments.subject)
        records.requests.add(request)
    return {"request": str(request.request), "due_at": _time(request.due_at)}


def _request_list(app: App, arguments: argparse.Namespace) -> Result:
    found, unread = _requests(app, with_closed=arguments.all)
    coming, at_fault = _reminders(app)
    at = now()
    last = at + SHOWN_BEFORE
    rows = [
        {
            "request": str(one.request),
            "subject": str(one.subject),
            "kind": one.kind,
            "received_at": _time(one.received_at),
            "due_at": _time(one.due_at),
            "urgency": one.urgency(at=at),
            "extended": one.extended_because is not None,
            "outcome": one.outcome,
        }
        for one in found
    ] + [
        {
            "request": None,
            "subject": str(one.subject),
            "kind": KIND,
            "received_at": None,
            "due_at": _time(one.due_at),
            "urgency": one.urgency(at=at),
            "extended": False,
            "outcome": None,
        }
        for one in coming
        if one.due_at <= last or arguments.all
    ]
    if not unread and not at_fault:
        return {"rows": rows}
    return {
        "rows": rows,
        "problems": len(unread) + len(at_fault),
        "unreadable_requests": [str(request) for request in unread],
        "unreadable_subjects": [str(subject) for subject in at_fault],
    }


def _requests(app: App, *, with_closed: bool) -> tuple[list[RightsRequest], list[UUID]]:
    """Return the requests, and the ids of those whose row cannot be read."""

    def all_of_them() -> list[RightsRequest]:
        with app.vault.transaction() as records:
            return records.requests.all(with_closed=with_closed)

    def one(request: UUID) -> RightsRequest:
        with app.vault.transaction() as records:
            return records.requests.get(request)

    together = attempt(all_of_them, kind=UnitKind.PERSON)
    if not isinstance(together, Cause):
        return together, []
    with app.vault.transaction() as records:
        ids = records.requests.ids(with_closed=with_closed)
    each = {r: attempt(lambda r=r: one(r), kind=UnitKind.PERSON) for r in ids}  # type: ignore[misc]
    read = [found for found in each.values() if not isinstance(found, Cause)]
    return read, [r for r, found in each.items() if isinstance(found, Cause)]


def _reminders(app: App) -> tuple[list[Reminder], list[UUID]]:
    """
    Return who is to be asked for a decision of their own, the first due at first.

    And whose records cannot be read: they keep nobody else from being asked.
    """
    with app.vault.transaction() as records:
        wards = records.representatives.wards()
    found: list[Reminder] = []
    at_fault: list[UUID] = []
    for subject in wards:
        theirs = attempt(lambda s=subject: _reminders_of(app, s), kind=UnitKind.PERSON)  # type: ignore[misc]
        if isinstance(theirs, Cause):
            at_fault.append(subject)
        else:
            found += theirs
    return sorted(found, key=lambda one: (one.due_at, one.subject)), at_fault


def _reminders_of(app: App, subject: UUID) -> list[Reminder]:
    with app.vault.transaction() as records:
        born = records.subjects.personal_details(subject).born
        chains = [
            records.decisions.chain(subject, p) for p in records.decisions.purposes_of(subject)
        ]
    ages = app.settings.consent
    return [one for chain in chains if (one := reminder(chain, born=born, ages=ages))]


def _request_extend(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        found = records.requests.get(arguments.request)
        extended = found.extended(arguments.because, at=now())
        records.requests.extend(extended)
    return {"request": str(arguments.request), "due_at": _time(extended.due_at)}


def _request_close(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        records.requests.close(arguments.request, arguments.outcome)
    return {"request": str(arguments.request), "outcome": arguments.outcome}


def _export_make(app: App, arguments: argparse.Namespace) -> Result:
    handed = app.exporter.export(
        arguments.subject,
        arguments.out,
        export_files.read_passphrase(arguments.passphrase_file),
        available_for=arguments.available_for,
        request=arguments.request,
    )
    return {
        "export": str(handed.export),
        "file": str(handed.file),
        "observations": handed.observations,
        "deleted_at": _time(handed.expires_at),
    }


def _export_purge(app: App, _arguments: argparse.Namespace) -> Result:
    return {"deleted": app.exporter.purge()}


def export_open(arguments: argparse.Namespace) -> Result:
    """Decrypt an export, where the person is: no database, no settings."""
    passphrase = export_files.read_passphrase(arguments.passphrase_file)
    length = export_files.unpack(arguments.file, arguments.out, passphrase)
    return {"file": str(arguments.out), "bytes": length}


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds")


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "receipt": _receipt,
    "subject show": _subject_show,
    "subject list": _subject_list,
    "subject rectify": _subject_rectify,
    "representative add": _representative_add,
    "representative list": _representative_list,
    "representative end": _representative_end,
    "request add": _request_add,
    "request list": _request_list,
    "request extend": _request_extend,
    "request close": _request_close,
    "export make": _export_make,
    "export purge": _export_purge,
}
