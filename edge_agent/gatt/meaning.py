"""
From the numbers of a sensor to observations in steps of resolution, or refusals.

Each number that a sensor sends has exactly one outcome, so that all of them are counted. A refusal
is a decision and not an error. No number is ever replaced by 0.
"""

import datetime
from typing import Final

import msgspec

from edge_agent.gatt.conversion import SAME_UNIT, Conversion
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber, Number
from wire.quantities import QUANTITIES, Code
from wire.refusals import Refusal


class When(msgspec.Struct, frozen=True, kw_only=True):
    """When something was measured, as far as the sensor tells. At most one field is set."""

    before_ms: int = 0
    """How long before the value was sent, in ms."""
    sensor_time: datetime.datetime | None = None
    """By the sensor's own clock, which has no zone and may be wrong."""
    session_min: int | None = None
    """Minutes since the start of the CGM session."""


LIVE: Final = When()
"""Measured at the moment when it was sent."""


class Observation(msgspec.Struct, frozen=True):
    """A plausible number. It may cross the wire if a lease allows its quantity."""

    quantity: Code
    steps: int
    """In steps of the quantity's resolution."""
    when: When = LIVE


class Refused(msgspec.Struct, frozen=True):
    """A number that is no observation, and why."""

    quantity: Code
    reason: Refusal


Outcome = Observation | Refused

_NO_NUMBER: Final = {
    NotANumber.NAN: Refusal.NO_VALUE,
    NotANumber.NRES: Refusal.NO_VALUE,
    NotANumber.RESERVED: Refusal.NO_VALUE,
    NotANumber.POSITIVE_INFINITY: Refusal.SATURATED,
    NotANumber.NEGATIVE_INFINITY: Refusal.SATURATED,
}


def judge(
    quantity: Code,
    number: Number | None,
    *,
    unit: Conversion = SAME_UNIT,
    when: When = LIVE,
    fault: Refusal | None = None,
) -> Outcome:
    """
    Turn one number of a sensor into an observation, or refuse it.

    Args:
        quantity: What was measured.
        number: As the sensor sent it; None when it sent none.
        unit: From the sensor's unit to the quantity's.
        when: When it was measured.
        fault: Why the number is refused, whatever it is; None if nothing speaks against it.
    """
    if fault is not None:
        return Refused(quantity, fault)
    if number is None:
        return Refused(quantity, Refusal.NO_VALUE)
    if isinstance(number, NotANumber):
        return Refused(quantity, _NO_NUMBER[number])
    kind = QUANTITIES[quantity]
    steps = unit.steps(number, kind.per_unit)
    if not kind.is_plausible(steps):
        return Refused(quantity, Refusal.IMPLAUSIBLE)
    return Observation(quantity, steps, when)


def date(timestamp: DateTime | None) -> tuple[When, Refusal | None]:
    """
    Return when a measurement with *timestamp* was taken, and `UNDATED` if that is unknown.

    A sensor without a clock sends no timestamp, and sends at once. A sensor with a clock may send
    what it stored earlier; if its clock was not set then, the time of the measurement is unknown.
    """
    if timestamp is None:
        return LIVE, None
    shown = timestamp.as_datetime()
    if shown is None:
        return LIVE, Refusal.UNDATED
    return When(sensor_time=shown), None


def first_of(status: int, faults: dict[int, Refusal]) -> Refusal | None:
    """Return the refusal of the first mask in *faults* that shares a bit with *status*, if any."""
    return next((reason for bits, reason in faults.items() if status & bits), None)
