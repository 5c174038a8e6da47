"""One observation, as it is handed to the person whom it is of."""

import datetime as dt

import msgspec

from wire.quantities import QUANTITIES, Quantity


class Observed(msgspec.Struct, frozen=True):
    """One row of a series: no pseudonym, no handle."""

    purpose: str
    quantity: Quantity
    at: dt.datetime
    value: float
    flags: int

    @property
    def time(self) -> str:
        """When it was measured: RFC 3339, in UTC, to the millisecond."""
        text = self.at.astimezone(dt.UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")

    def __repr__(self) -> str:
        return "Observed(…)"


def from_row(
    purpose: str, quantity: int, at: dt.datetime, value: float, flags: int
) -> Observed | None:
    """Return the observation of a row, or None when its quantity is of a later version."""
    known = QUANTITIES.get(quantity)
    if known is None:
        return None
    # The database keeps four bytes: 5.1 comes back as 5.0999999 unless it is put on its step.
    return Observed(purpose, known, at, known.to_unit(known.to_steps(value)), flags)
