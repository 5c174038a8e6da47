"""What the commands of erasure, restriction and retention do."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from trust.composition import App
from trust.consent.restriction import Restricted
from trust.erasure import certificate
from trust.erasure.eraser import scope_of
from trust.erasure.ledger_copy import FileState
from trust.errors import Refused, Residue, UsageError
from trust.keys import files

Result = dict[str, Any]
_NAMED: Final = 10
"""Tables told by name; more are counted."""


def _erase(app: App, arguments: argparse.Namespace) -> Result:
    number = app.eraser().erase(arguments.subject, scope_of(arguments.scope))
    return _certificate_of(app, number, arguments.out)


def _verify(app: App, arguments: argparse.Namespace) -> Result:
    if arguments.reference is None:
        return _verify_all(app)
    number = _number(arguments)
    residue = app.eraser().verify(number)
    if residue:
        raise Residue(residue)
    return {"number": number, "residue": 0}


def _verify_all(app: App) -> Result:
    found = app.verifier.look()
    ledger_file = app.ledger_copy.look().state
    problems = [f"erasure {number}: found in {', '.join(at)}" for number, at in found.back.items()]
    problems += [f"erasure {number}: its record does not verify" for number in found.tampered]
    if found.unread:
        problems.append(f"not looked at, as another owner's or unreadable: {_list(found.unread)}")
    if found.not_rewritten:
        problems.append(f"{found.not_rewritten} erased again, and their files not rewritten yet")
    if ledger_file not in (FileState.COMPLETE, FileState.NOT_CONFIGURED):
        problems.append(f"the ledger's file is {ledger_file}")
    return {**msgspec.to_builtins(found), "ledger_file": str(ledger_file), "problems": problems}


def _list(places: list[str]) -> str:
    more = len(places) - _NAMED
    return ", ".join(places[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _certificate(app: App, arguments: argparse.Namespace) -> Result:
    return _certificate_of(app, _number(arguments), arguments.out)


def _certificate_of(app: App, number: int, out: Path | None) -> Result:
    signed = app.eraser().certificate(number)
    if out is not None:
        files.write(out, certificate.encode(signed), mode=files.SECRET)
    result: Result = msgspec.to_builtins(signed.certificate)
    # Signed in the ledger, and no part of what was certified.
    again = [
        {"where": found.facts["where"], "files_rewritten": found.is_rewritten}
        for found in app.eraser().found_again(number)
    ]
    return {**result, "certificate": None if out is None else str(out), "found_again": again}


def _replay(app: App, _: argparse.Namespace) -> Result:
    cleared = app.restore_guard.clear()
    verified = app.verifier.run()
    return {
        "erased_again": sorted({*cleared, *verified.erased_again}),
        "cleared": app.stores.is_cleared(),
        "not_rewritten": verified.not_rewritten,
        "problems": [f"erasure {number}: {why}" for number, why in verified.failed.items()],
    }


def _check(app: App, arguments: argparse.Namespace) -> Result:
    if arguments.reference is None:
        raise UsageError("name the file of the certificate")
    try:
        data = Path(arguments.reference).read_bytes()
    except OSError as exc:
        raise Refused(f"the file cannot be read ({type(exc).__name__})") from None
    checked = certificate.check(data, app.keys.public_key)
    return {"valid": True, **msgspec.to_builtins(checked)}


def _number(arguments: argparse.Namespace) -> int:
    if not str(arguments.reference or "").isdecimal():
        raise UsageError("give the number of an erasure; `erase SUBJECT` printed it")
    return int(arguments.reference)


def _restrict(app: App, arguments: argparse.Namespace) -> Result:
    return _restricted(app.restriction.restrict(arguments.subject, arguments.purpose))


def _unrestrict(app: App, arguments: argparse.Namespace) -> Result:
    return _restricted(app.restriction.lift(arguments.subject, arguments.purpose))


def _restricted(restricted: Restricted) -> Result:
    return {
        "decisions": [str(decision) for decision in restricted.decisions],
        "series": restricted.series,
        "leases": restricted.done.versions,
    }


def _retention_run(app: App, _: argparse.Namespace) -> Result:
    result: Result = msgspec.to_builtins(app.retainer.run())
    return {**result, "problems": len(result["failures"])}


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "erase": _erase,
    "erase verify": _verify,
    "erase certificate": _certificate,
    "erase replay": _replay,
    "erase check": _check,
    "restrict": _restrict,
    "unrestrict": _unrestrict,
    "retention run": _retention_run,
}

DESTRUCTIVE: Final[Mapping[str, str]] = {
    "erase": "What is stored of the person is gone for good, from backups too once they are old.",
}

CHANGES_LEASES: Final = frozenset({"restrict", "unrestrict"})
"""An erasure publishes by itself: it is not done before."""
