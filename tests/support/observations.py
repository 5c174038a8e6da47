"""Observations as an export reads them, without a database."""

import datetime as dt
import uuid
from collections.abc import Iterable

from formats.observed import Observed
from formats.person import Consent, Controller, Person, Status
from wire.quantities import BY_NAME, all_quantities

AT = dt.datetime(2026, 10, 25, 0, 30, 0, 123_000, tzinfo=dt.UTC)


def observed(name: str, value: float | None = None, **more: object) -> Observed:
    """Return an observation of the quantity *name*."""
    quantity = BY_NAME[name]
    middle = quantity.to_unit((quantity.low + quantity.high) // 2)
    fields = {"purpose": "home-monitoring", "at": AT, "flags": 0, **more}
    return Observed(quantity=quantity, value=middle if value is None else value, **fields)  # type: ignore[arg-type]


def of_every_quantity() -> list[Observed]:
    """Return one observation of each quantity, all of the same time."""
    return [observed(quantity.name) for quantity in all_quantities()]


def person(consents: Iterable[Consent] = ()) -> Person:
    """Return a person with *consents*."""
    return Person(uuid.uuid4(), tuple(consents), Controller("clinic.example"))


def consent(status: Status = Status.ACTIVE, *, is_yes: bool = True) -> Consent:
    """Return a consent without an end."""
    return Consent(uuid.uuid4(), "home-monitoring", 1, status, is_yes, AT, AT, None)
