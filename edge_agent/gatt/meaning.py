"""
From measurements to what may cross the wire: observations in steps of resolution, or refusals.

Every number that a sensor hands over ends as one outcome, so that all of them can be counted.
A refusal is a decision and no error; there is no third way, and never a 0 in place of a number.
"""

import datetime
import enum
from collections.abc import Callable
from typing import Final

import msgspec

from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber, Number
from wire.quantities import QUANTITIES, Code


class Refusal(enum.StrEnum):
    """Why a number of a sensor is no observation. A closed set: it labels metrics."""

    NO_VALUE = "no_value"
    """The sensor says that it has none: NaN, not at this resolution, or no concentration."""
    SATURATED = "saturated"
    """Beyond what the sensor can measure."""
    IMPLAUSIBLE = "implausible"
    """Nobody alive shows it, or it contradicts its neighbours."""
    OFF_BODY = "off_body"
    WARM_UP = "warm_up"
    """The sensor has not settled yet."""
    SENSOR_FAULT = "sensor_fault"
    """The sensor says that something is broken, missing, or too hot or cold to measure."""
    POOR_SIGNAL = "poor_signal"
    """The sensor doubts its own number."""
    DEMONSTRATION = "demonstration"
    """Shown or sent to try things out."""
    CONTROL_SOLUTION = "control_solution"
    """The meter measured its test liquid, not a person."""
    KETONE = "ketone"
    UNKNOWN_ANALYTE = "unknown_analyte"
    """Glucose or ketone: the meter stores both, and no context tells which."""
    OTHER_SPECIMEN = "other_specimen"
    """Blood from a vein or an artery, or a reserved type: no quantity of ours."""
    CONTEXT_MISSING = "context_missing"
    """The record says that a context follows, which may say that it is a ketone."""
    UNDATED = "undated"
    """The sensor says when, but its clock is not set or faulty."""


class When(msgspec.Struct, frozen=True, kw_only=True):
    """When something was measured, as far as the sensor tells; at most one field is set."""

    before_ms: int = 0
    """So long before the value was sent."""
    sensor_time: datetime.datetime | None = None
    """By the sensor's own clock, which has no zone and may be wrong."""
    session_min: int | None = None
    """Minutes since the start of the CGM session."""


LIVE: Final = When()
"""Measured when it was sent."""


class Observation(msgspec.Struct, frozen=True):
    """A number that may cross the wire, if a lease allows its quantity."""

    quantity: Code
    steps: int
    """In steps of the quantity's resolution."""
    when: When = LIVE


class Refused(msgspec.Struct, frozen=True):
    """A number that may not, and why."""

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
    convert: Callable[[float], float] = float,
    when: When = LIVE,
    fault: Refusal | None = None,
) -> Outcome:
    """
    Decide about one number.

    Args:
        quantity: What it is a number of.
        number: As the sensor sent it; None when it has none to send.
        convert: Turns the sensor's unit into the quantity's.
        when: When it was measured.
        fault: Why it is refused whatever it says; None if nothing speaks against it.
    """
    if fault is not None:
        return Refused(quantity, fault)
    if number is None:
        return Refused(quantity, Refusal.NO_VALUE)
    if isinstance(number, NotANumber):
        return Refused(quantity, _NO_NUMBER[number])
    kind = QUANTITIES[quantity]
    steps = kind.to_steps(convert(number))
    if not kind.is_plausible(steps):
        return Refused(quantity, Refusal.IMPLAUSIBLE)
    return Observation(quantity, steps, when)


def date(timestamp: DateTime | None) -> tuple[When, Refusal | None]:
    """
    Return when a measurement with *timestamp* was taken, and whether that cannot be told.

    A sensor without a clock sends no timestamp, and sends at once. One that has a clock may
    send what it stored: if its clock was not set then, nothing tells when that was.
    """
    if timestamp is None:
        return LIVE, None
    shown = timestamp.as_datetime()
    if shown is None:
        return LIVE, Refusal.UNDATED
    return When(sensor_time=shown), None


def first_of(status: int, faults: dict[int, Refusal]) -> Refusal | None:
    """Return the first of *faults* that has a bit in common with *status*, if any."""
    return next((reason for bits, reason in faults.items() if status & bits), None)
