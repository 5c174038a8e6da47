"""What the commands of the staff do: officers, re-identification, epochs of pseudonyms."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final

from trust.composition import App
from trust.domain import canonical
from trust.domain.purposes import is_name
from trust.domain.reidentify import ReidentificationRequest
from trust.errors import NotFound, Refused
from trust.reconcile import rotation
from trust.reidentification.reidentification import (
    ReidentificationQuestion,
    make_key,
    names,
    read_key,
    read_public_key,
)

Result = dict[str, Any]
_MAX_LOG: Final = 10_000


def officer_key(arguments: argparse.Namespace) -> Result:
    """Make a key pair, where the officer is: no database, no settings."""
    make_key(arguments.out)
    return {"private": str(arguments.out), "public": str(arguments.out.with_suffix(".pub"))}


def _officer_add(app: App, arguments: argparse.Namespace) -> Result:
    key = read_public_key(arguments.public_key)
    officer = app.reidentification.add_officer(arguments.role, key)
    return {"officer": str(officer.officer), "role": officer.role}


def _officer_list(app: App, _arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        found = records.officers.all()
    return {
        "rows": [
            {
                "officer": str(known.officer.officer),
                "role": known.officer.role,
                "public_key": known.officer.public_key,
                "ended": known.ended_at is not None,
            }
            for known in found.values()
        ]
    }


def _officer_end(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        records.officers.end(arguments.officer)
    return {"officer": str(arguments.officer), "ended": True}


def _reidentify_request(app: App, arguments: argparse.Namespace) -> Result:
    if not is_name(arguments.purpose):
        raise Refused("--purpose is not the name of a purpose, without a version")
    question = ReidentificationQuestion(
        purpose=arguments.purpose,
        pseudonyms=arguments.pseudonyms,
        basis=arguments.basis,
        reason=arguments.reason,
        valid_for=arguments.valid_for,
    )
    key = read_key(arguments.key)
    request = app.reidentification.request(arguments.officer, key, question)
    return {
        "request": str(request.request),
        "expires_at": request.expires_at.isoformat(timespec="seconds"),
        "next": "two others approve it, one of them DPO or physician",
    }


def _reidentify_show(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        found = records.reidentifications.get(arguments.request)
        approvals = records.reidentifications.approvals(arguments.request)
    if found is None:
        raise NotFound("request", "See `vitalveil trust reidentify log`.")
    signed, opened_at = found
    request = canonical.decode(signed.document, ReidentificationRequest, what="a request")
    return {
        "request": str(request.request),
        "requester": str(request.requester),
        "purpose": request.purpose,
        "basis": request.basis,
        "reason": request.reason,
        "pseudonyms": request.pseudonyms,
        "expires_at": request.expires_at.isoformat(timespec="seconds"),
        "approvals": len(approvals),
        "opened": opened_at is not None,
    }


def _reidentify_approve(app: App, arguments: argparse.Namespace) -> Result:
    key = read_key(arguments.key)
    approval = app.reidentification.approve(arguments.request, arguments.officer, key)
    return {"request": str(approval.request), "approver": str(approval.approver)}


def _reidentify_open(app: App, arguments: argparse.Namespace) -> Result:
    key = read_key(arguments.key)
    found = app.reidentification.open(arguments.request, arguments.officer, key)
    with app.vault.transaction() as records:
        return {"rows": names(records, found)}


def _reidentify_log(app: App, arguments: argparse.Namespace) -> Result:
    if not 1 <= arguments.limit <= _MAX_LOG:
        raise Refused(f"--limit is from 1 to {_MAX_LOG}")
    with app.vault.transaction() as records:
        found = records.reidentifications.attempts(limit=arguments.limit)
    return {
        "rows": [
            {
                "at": at.isoformat(timespec="seconds"),
                "action": action,
                "outcome": outcome,
                "request": None if request is None else str(request),
                "officer": None if officer is None else str(officer),
            }
            for request, officer, action, outcome, at in found
        ]
    }


def _pseudonym_rotate(app: App, arguments: argparse.Namespace) -> Result:
    done = app.rotation.rotate(arguments.purpose)
    return {
        "purpose": done.purpose,
        "epoch": done.epoch,
        "handles": done.handles,
        "agents": done.agents,
        "resumed": done.resumed,
    }


def _pseudonym_epochs(app: App, _arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        return {"rows": [rotation.describe_epoch(*row) for row in records.epochs.all()]}


def _pseudonym_destroy(app: App, arguments: argparse.Namespace) -> Result:
    was_there = app.rotation.destroy(arguments.purpose, arguments.epoch)
    return {"purpose": arguments.purpose, "epoch": arguments.epoch, "destroyed": was_there}


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "officer add": _officer_add,
    "officer list": _officer_list,
    "officer end": _officer_end,
    "reidentify request": _reidentify_request,
    "reidentify show": _reidentify_show,
    "reidentify approve": _reidentify_approve,
    "reidentify open": _reidentify_open,
    "reidentify log": _reidentify_log,
    "pseudonym rotate": _pseudonym_rotate,
    "pseudonym epochs": _pseudonym_epochs,
    "pseudonym destroy": _pseudonym_destroy,
}
