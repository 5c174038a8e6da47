"""Permissions: what may be stored now, flattened to handle × quantity, for telemetry."""

import datetime as dt
from collections.abc import Iterable

import msgspec

from trust.decisions.effective_grant import Standing
from trust.domain.pseudonyms import Pseudonym


class Permission(msgspec.Struct, frozen=True):
    """One row. Holds no subject, no decision and no binding."""

    handle: bytes
    quantity: int
    pseudonym: Pseudonym
    purpose: str
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    step: int
    interval_ms: int
    time_step_ms: int

    def __repr__(self) -> str:
        return "Permission(…)"


def compile_permissions(standings: Iterable[Standing]) -> list[Permission]:
    """Return the permissions of *standings*; whatever is not among them is not permitted."""
    return [
        Permission(
            handle=standing.handle,
            quantity=rule.quantity,
            pseudonym=standing.pseudonym,
            purpose=standing.purpose.name,
            valid_from=standing.scope.valid_from,
            valid_to=standing.scope.valid_to,
            step=rule.step,
            interval_ms=rule.interval_ms,
            time_step_ms=rule.time_step_ms,
        )
        for standing in standings
        for rule in standing.rules()
    ]
