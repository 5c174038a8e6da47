"""What the commands about units that were set aside do."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final

from trust.composition import App
from trust.domain.units import SENTENCES, SetAside

Result = dict[str, Any]
_MOST: Final = 10_000


def _unit_list(app: App, _: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        found = records.set_aside.all(limit=_MOST)
    return {"problems": len(found), "rows": [_row(one) for one in found]}


def _row(one: SetAside) -> Result:
    problem, remedy = SENTENCES[one.failure.cause]
    return {
        "kind": one.failure.unit.kind,
        "unit": one.failure.unit.name,
        "cause": one.failure.cause,
        "work": one.work,
        "stands_in": one.stands_in,
        "failures": one.failures,
        "failed_since": one.failed_since.isoformat(timespec="seconds"),
        "next_attempt_at": one.next_attempt_at.isoformat(timespec="seconds"),
        "problem": problem,
        "remedy": remedy,
    }


def _unit_retry(app: App, _: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        return {"units": records.set_aside.hasten()}


ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "unit list": _unit_list,
    "unit retry": _unit_retry,
}
