"""What a sensor measured, before anything is taken away; and what the pipeline made of it."""

import enum

import msgspec

from wire.refusals import Refusal


class Measurement(msgspec.Struct, frozen=True):
    """
    One value, or the refusal that stands in its place.

    Never leaves this process: it names the sensor.
    """

    sensor: str
    """Its address, as the lease's bindings write it."""
    quantity: int
    """The code, as in `wire.quantities`."""
    at_ms: int
    """When it was measured, ms since 1970."""
    steps: int | None = None
    """The value in steps of the quantity's resolution; None with a fault."""
    fault: Refusal | None = None
    """Why there is no value: one of `wire.refusals.FROM_SENSOR`."""
    record: int | None = None
    """Its growing number in the sensor's own store; None for a live notification, which the
    sensor forgets once it is sent."""
    is_single: bool = False
    """Whether a person took it on purpose, and the sensor sends it only this once."""
    user: int | None = None
    """Which of its users the sensor says that it measured; None if it tells none apart."""
    stamp_s: int | None = None
    """When a person took it by the sensor's own clock, in s: by this it is recognised if the
    sensor sends it again, however the clock was read meanwhile."""
    flags: int = 0
    """Bits of `wire.envelope.Flag`."""


class Verdict(enum.StrEnum):
    """What became of a measurement that was not refused."""

    PENDING = "pending"
    """One observation will stand for it. It counts as kept once that is in the spool."""
    COARSENED = "coarsened"
    """Merged into another observation of the same interval."""


Outcome = Verdict | Refusal
"""What became of a measurement."""
