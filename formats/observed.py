"""An observation in an export of a person's data."""

import datetime as dt
from typing import Final

import msgspec

from wire.envelope import Flag
from wire.quantities import QUANTITIES, Quantity

TIME_UNCERTAIN: Final = (
    "The time may be wrong by hours, because the clock of the sensor was moved or reset."
)
_KNOWN: Final = int(Flag.TIME_UNCERTAIN)


def marks(flags: int) -> str:
    """Return what *flags* say about an observation, in words; empty for none."""
    words = [TIME_UNCERTAIN] if flags & Flag.TIME_UNCERTAIN else []
    if others := flags & ~_KNOWN:
        words.append(f"Marks of the sensor: {others}.")
    return " ".join(words)


class Observed(msgspec.Struct, frozen=True):
    """An observation without a pseudonym or a handle; *value* is in the unit of *quantity*."""

    purpose: str
    quantity: Quantity
    at: dt.datetime
    value: float
    flags: int

    @property
    def time(self) -> str:
        """The time of measurement in RFC 3339, in UTC, to the millisecond."""
        text = self.at.astimezone(dt.UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")

    @property
    def is_time_uncertain(self) -> bool:
        """Whether the time may be wrong by hours."""
        return bool(self.flags & Flag.TIME_UNCERTAIN)

    @property
    def number(self) -> int | float:
        """The value as a number with no more digits than the quantity resolves."""
        return round(self.value) if self.quantity.per_unit == 1 else self.value

    def __repr__(self) -> str:
        return "Observed(…)"


class Aggregated(msgspec.Struct, frozen=True):
    """What is kept of all values of a minute, an hour or a day; in the unit of *quantity*."""

    purpose: str
    quantity: Quantity
    seconds: int
    """How long it is."""
    at: dt.datetime
    """When it begins."""
    count: int
    mean: float
    low: float
    high: float

    @property
    def time(self) -> str:
        """When it begins, in RFC 3339, in UTC."""
        return self.at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def __repr__(self) -> str:
        return "Aggregated(…)"


def from_row(
    purpose: str, quantity: int, at: dt.datetime, value: float, flags: int
) -> Observed | None:
    """Return the observation of a row; None if this version does not know its quantity."""
    known = QUANTITIES.get(quantity)
    if known is None:
        return None
    # The database stores float32: 5.1 is read as 5.0999999, and is rounded to the resolution.
    return Observed(purpose, known, at, known.to_unit(known.to_steps(value)), flags)


def aggregated_from_row(  # noqa: PLR0913 - the columns of the row
    purpose: str,
    quantity: int,
    seconds: int,
    at: dt.datetime,
    count: int,
    total: float,
    low: float,
    high: float,
) -> Aggregated | None:
    """Return the aggregate of a row; None if this version does not know its quantity."""
    known = QUANTITIES.get(quantity)
    if known is None:
        return None
    low, high = (known.to_unit(known.to_steps(value)) for value in (low, high))
    return Aggregated(purpose, known, seconds, at, count, total / max(count, 1), low, high)
