"""What `trust audit` does: tells whose decisions are missing, or not as they were signed."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from trust.composition import App

Result = dict[str, Any]


def _audit(app: App, _: argparse.Namespace) -> Result:
    found = app.audit.look()
    read = app.audit.read()
    rows = [_row(*chain, "missing", count) for chain, count in sorted(found.cut.items())]
    rows += [_row(*chain, "does not verify", None) for chain in sorted(read.broken)]
    policies = app.audit.policies()
    rows += [
        _row(None, f"{name}@{version}", problem, None)
        for (name, version), problem in sorted(policies.problems.items())
    ]
    return {
        "decisions": found.decisions,
        "missing": found.missing,
        "unproven": read.unproven,
        "policies": "as signed" if read.policies_verify else "one does not verify",
        "policies_gone": policies.gone,
        "policies_unapproved": policies.unapproved,
        "problems": found.missing
        + len(read.broken)
        + (not read.policies_verify)
        + len(policies.problems)
        + policies.gone,
        "rows": rows,
    }


def _row(subject: UUID | None, purpose: str, problem: str, decisions: int | None) -> Result:
    return {
        "subject": None if subject is None else str(subject),
        "purpose": purpose,
        "problem": problem,
        "decisions": decisions,
    }


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {"audit": _audit}
