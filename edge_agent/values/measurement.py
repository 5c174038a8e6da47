"""What a sensor said, before anything is taken away; and why it was not kept."""

import enum

import msgspec


class Fault(enum.StrEnum):
    """What a sensor says in place of a value, or what speaks against the value that it says."""

    OFF_BODY = "off_body"
    WARM_UP = "warm_up"
    SATURATED = "saturated"
    SENSOR_FAULT = "sensor_fault"
    NO_VALUE = "no_value"
    IMPLAUSIBLE = "implausible"
    POOR_SIGNAL = "poor_signal"
    DEMONSTRATION = "demonstration"
    CONTROL_SOLUTION = "control_solution"
    KETONE = "ketone"
    UNKNOWN_ANALYTE = "unknown_analyte"
    OTHER_SPECIMEN = "other_specimen"
    CONTEXT_MISSING = "context_missing"
    UNDATED = "undated"


class Measurement(msgspec.Struct, frozen=True):
    """
    One value, or the fault that stands in its place.

    Never leaves this process: it names the sensor.
    """

    sensor: str
    """Its address, as the lease's bindings write it."""
    quantity: int
    """The code, as in `wire.quantities`."""
    at_ms: int
    """When it was measured, ms since 1970."""
    value: float | None = None
    """In the quantity's unit; None with a fault."""
    fault: Fault | None = None
    record: int | None = None
    """Its number in the sensor's own store, growing; None for a live notification, which the
    sensor forgets once it is sent."""
    is_single: bool = False
    """Whether somebody took it on purpose, and the sensor tells it this once."""


class Reason(enum.StrEnum):
    """Why a measurement was refused."""

    NO_LEASE = "no_lease"
    UNKNOWN_SENSOR = "unknown_sensor"
    NOT_ALLOWED = "not_allowed"
    """The lease does not name the quantity."""
    IMPLAUSIBLE = "implausible"
    UNDATED = "undated"
    """Its time lies ahead of ours, or before 1970."""
    LATE = "late"
    """Its interval is behind one that was observed already."""
    ALREADY_SEEN = "already_seen"
    """A stored record that was handed over again."""
    WITHDRAWN = "withdrawn"
    """It waited in memory when its handle or quantity left the lease."""
    MALFORMED = "malformed"
    OFF_BODY = "off_body"
    WARM_UP = "warm_up"
    SATURATED = "saturated"
    SENSOR_FAULT = "sensor_fault"
    NO_VALUE = "no_value"
    """The sensor has none to tell, and says so."""
    POOR_SIGNAL = "poor_signal"
    DEMONSTRATION = "demonstration"
    CONTROL_SOLUTION = "control_solution"
    KETONE = "ketone"
    UNKNOWN_ANALYTE = "unknown_analyte"
    OTHER_SPECIMEN = "other_specimen"
    CONTEXT_MISSING = "context_missing"
    FLOOD = "flood"
    """The sensor sent more than anybody could take."""


class Verdict(enum.StrEnum):
    """What became of a measurement that was not refused."""

    PENDING = "pending"
    """One observation will stand for it: kept, once that is in the spool."""
    COARSENED = "coarsened"
    """Merged into an observation of the same interval, or stood for by it."""


Outcome = Verdict | Reason
