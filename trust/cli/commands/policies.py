"""What the commands about policies do: compare a file, approve it as an officer, load it."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from trust.composition import App
from trust.consent.policy_review import PolicyComparison
from trust.domain.approval import APPROVALS
from trust.domain.policy_file import MAX_FILE_BYTES
from trust.errors import PolicyError
from trust.reidentification.reidentification import read_key

Result = dict[str, Any]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than may be: the parser says that it is too long.
            return file.read(4 * MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise PolicyError(
            "file", f"it cannot be read ({type(exc).__name__})", "Check the path."
        ) from None


def _check(app: App, arguments: argparse.Namespace) -> Result:
    looked = app.policies.look(_read(arguments.file))
    needed = APPROVALS if looked.widens else 0
    return {
        **_looked(looked),
        "loaded": looked.is_loaded,
        "approvals_needed": needed,
        "rows": [
            {"kind": one.kind, "against": one.against, "widens": one.words}
            for one in looked.widens
        ],
    }


def _approve(app: App, arguments: argparse.Namespace) -> Result:
    key = read_key(arguments.key)
    looked = app.policies.approve(_read(arguments.file), arguments.officer, key)
    return {**_looked(looked), "widens": [one.sentence for one in looked.widens]}


def _load(app: App, arguments: argparse.Namespace) -> Result:
    looked, added = app.policies.load(_read(arguments.file), first=arguments.first)
    return {
        **_looked(looked),
        "added": added,
        "widens": [one.sentence for one in looked.widens],
    }


def _looked(looked: PolicyComparison) -> Result:
    return {
        "purpose": looked.purpose.reference,
        "sha256": looked.subject.policy_sha256,
        "approved_by": [str(officer) for officer in looked.approvers],
    }


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "policy check": _check,
    "policy approve": _approve,
    "policy load": _load,
}
