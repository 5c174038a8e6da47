"""Permissions: what may be stored now, as one row for each handle and quantity."""

import datetime as dt
from collections.abc import Iterable

import msgspec

from trust.decisions.effective_grant import EffectiveGrant
from trust.domain.pseudonyms import Pseudonym


class Permission(msgspec.Struct, frozen=True):
    """One row for telemetry. It holds no subject, no decision and no binding."""

    handle: bytes
    quantity: int
    pseudonym: Pseudonym
    purpose: str
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    step: int
    interval_ms: int
    time_step_ms: int
    source: int = 0
    """A number for the sensor, or 0 for all sensors of the person together."""
    measured_to: dt.datetime | None = None
    """When its sensor was unbound; None while it is bound."""

    def __repr__(self) -> str:
        return "Permission(…)"


def compile_permissions(grants: Iterable[EffectiveGrant]) -> list[Permission]:
    """Return all permissions of *grants*; anything without a permission is not permitted."""
    return [
        Permission(
            handle=grant.handle,
            quantity=rule.quantity,
            pseudonym=grant.pseudonym,
            purpose=grant.purpose.name,
            valid_from=grant.scope.valid_from,
            valid_to=grant.scope.valid_to,
            step=rule.step,
            interval_ms=rule.interval_ms,
            time_step_ms=rule.time_step_ms,
            source=grant.source,
            measured_to=grant.unbound_at,
        )
        for grant in grants
        for rule in grant.rules()
    ]
