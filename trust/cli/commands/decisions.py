"""What the commands about decisions do: a yes with its evidence, a no, a withdrawal, a list."""

import argparse
import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from trust.composition import App, now
from trust.consent.consent import RecordedDecision
from trust.consent.giving import Grant, Refusal
from trust.decisions import evidence
from trust.decisions.decisions import State
from trust.decisions.evidence import Said, Vouching
from trust.domain.purposes import parse_reference
from trust.errors import Refused, UsageError
from trust.reconcile.reconciled import Reconciled
from trust.reidentification.reidentification import read_key

Result = dict[str, Any]
_MAX_TEXT: Final = 64 << 20


def _record(app: App, arguments: argparse.Namespace) -> Result:
    reference = parse_reference(arguments.purpose)
    if reference is None:
        raise Refused("--purpose is not a name with a version; write it as home-monitoring@1")
    if arguments.state is not State.ACCEPTED:
        return taken(app.consent.record(_refusal(arguments, reference)))
    if arguments.agent is None or not arguments.binding:
        raise Refused("who accepts is measured somewhere: give --agent and --binding")
    grant = Grant(
        subject=arguments.subject,
        purpose=reference[0],
        version=reference[1],
        quantities=arguments.quantities,
        agent=arguments.agent,
        bindings=arguments.binding,
        given_by=arguments.given_by,
        said=_said(arguments),
        representative=arguments.representative,
        representative_said=_said(arguments, "representative_"),
        witness=_vouching(arguments, "witness"),
        of_age=_vouching(arguments, "of_age"),
        valid_from=arguments.valid_from,
        valid_to=arguments.valid_to,
        valid_for=arguments.valid_for,
        recipients=arguments.recipients,
    )
    return taken(app.consent.accept(grant))


def _refusal(arguments: argparse.Namespace, reference: tuple[str, int]) -> Refusal:
    if arguments.agent is not None or arguments.binding or arguments.quantities:
        raise Refused("only who accepts is measured: drop --agent, --binding and --quantities")
    return Refusal(
        subject=arguments.subject,
        purpose=reference[0],
        version=reference[1],
        state=arguments.state,
        given_by=arguments.given_by,
        representative=arguments.representative,
        said=_said(arguments),
    )


def _said(arguments: argparse.Namespace, prefix: str = "") -> Said:
    given = {
        name: getattr(arguments, prefix + name)
        for name in ("captured_by", "text", "text_sha256", "locale", "given_at", "scan")
    }
    text = given["text_sha256"] if given["text"] is None else _digest(given["text"])
    return Said(
        method=given["captured_by"],
        text_sha256=text,
        locale=given["locale"],
        given_at=given["given_at"],
        scan_sha256=None if given["scan"] is None else _digest(given["scan"]),
    )


def _digest(path: Path) -> str:
    try:
        if not path.is_file():
            raise Refused(f"the file {path.name} of the evidence is not there, or is no file")
        if path.stat().st_size > _MAX_TEXT:
            raise Refused(f"a file of evidence has at most {_MAX_TEXT >> 20} MiB")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise Refused(
            f"the file {path.name} of the evidence cannot be read ({type(exc).__name__})"
        ) from None


def _vouching(arguments: argparse.Namespace, name: str) -> Vouching | None:
    officer: UUID | None = getattr(arguments, name)
    key: Path | None = getattr(arguments, f"{name}_key")
    if officer is None and key is None:
        return None
    option = name.replace("_", "-")
    if officer is None or key is None:
        raise UsageError(f"give both --{option} OFFICER and --{option}-key FILE")
    return Vouching(officer, read_key(key))


def _list(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        records.subjects.data_key(arguments.subject)
        names = records.decisions.purposes_of(arguments.subject)
        found = [d for name in names for d in records.decisions.chain(arguments.subject, name)]
        recorded_at = records.decisions.recorded_at(arguments.subject)
    return {
        "rows": [
            {
                "decided_at": instant(one.decided_at),
                "recorded_at": instant(recorded_at.get(one.decision)),
                "purpose": f"{one.purpose}@{one.version}",
                "state": one.state,
                "quantities": one.quantities,
                "given_by": one.given_by,
                "captured_by": one.capture.method,
                "text_sha256": one.capture.text_sha256,
                "locale": one.capture.locale,
                "evidence": evidence.proof(one),
                "valid_to": instant(one.valid_to),
                "decision": str(one.decision),
            }
            for one in found
        ]
    }


def _withdraw(app: App, arguments: argparse.Namespace) -> Result:
    name = arguments.purpose.partition("@")[0]
    return taken(app.consent.withdraw(arguments.subject, name, given_by=arguments.given_by))


def taken(one: RecordedDecision) -> Result:
    """Return what is printed of a decision that took effect."""
    handle = {} if one.handle is None else {"handle": one.handle.hex()}
    return {"decision": str(one.decision), **handle, **done(one.done)}


def done(what: Reconciled) -> Result:
    """Return what is printed of what reconciling did."""
    versions = what.versions
    return {
        "withdrawn_at": instant(what.withdrawn_at),
        # When the daemon was faster, all that is known is that it was before now.
        "committed_at": instant(what.committed_at or now()),
        "lease_version": max(versions.values(), default=None),
        "leases": versions,
    }


def instant(at: dt.datetime | None) -> str | None:
    """Return a time as it is printed."""
    return None if at is None else at.astimezone(dt.UTC).isoformat(timespec="microseconds")


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "decision record": _record,
    "decision withdraw": _withdraw,
    "decision list": _list,
}
