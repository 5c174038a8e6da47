"""
Why a measurement is refused: one vocabulary for the sensor's decoder, the agent and the totals.

The names are labels of metrics and keys of the state message. A published name keeps its meaning;
a new reason gets a new name. The outcomes of whole envelopes are defined in
`ingest.values.outcome`.
"""

import enum
from typing import Final


class Refusal(enum.StrEnum):
    """Why a measurement does not become an observation. A closed set."""

    NO_LEASE = "no_lease"
    """No lease is in force, or none was in force for the subject when it was measured."""
    UNKNOWN_SENSOR = "unknown_sensor"
    """The lease binds the sensor to no subject."""
    NOT_ALLOWED = "not_allowed"
    """The lease does not name the quantity."""
    IMPLAUSIBLE = "implausible"
    """Outside the plausible range of the quantity, or contradicted by a value measured with it."""
    UNDATED = "undated"
    """Its time is not known: the sensor's clock is unset or faulty, or ahead of the agent's."""
    LATE = "late"
    """Its interval lies before an interval that was observed already."""
    ALREADY_SEEN = "already_seen"
    """A stored record that was handed over before."""
    WITHDRAWN = "withdrawn"
    """It waited in memory when its handle or quantity left the lease."""
    MALFORMED = "malformed"
    """The bytes or the line hold no measurement."""
    OFF_BODY = "off_body"
    """The sensor is not worn, or has lost contact with the skin."""
    WARM_UP = "warm_up"
    """The sensor has not settled yet."""
    SATURATED = "saturated"
    """Beyond what the sensor can measure."""
    SENSOR_FAULT = "sensor_fault"
    """The sensor reports that a part is broken, missing, or too hot or too cold to measure."""
    NO_VALUE = "no_value"
    """The sensor sends a marker in place of a number: NaN, NRes, or no concentration."""
    POOR_SIGNAL = "poor_signal"
    """The sensor reports that its own number is doubtful."""
    DEMONSTRATION = "demonstration"
    """The sensor runs in demonstration or test mode."""
    CONTROL_SOLUTION = "control_solution"
    """The meter measured its control solution, not a person."""
    KETONE = "ketone"
    """The record is a ketone concentration, not glucose."""
    UNKNOWN_ANALYTE = "unknown_analyte"
    """Glucose or ketone: the meter stores both, and no context tells which one this is."""
    OTHER_SPECIMEN = "other_specimen"
    """Venous or arterial blood, or a reserved type: none of the quantities in use."""
    CONTEXT_MISSING = "context_missing"
    """The record announces a context, which may say that it is a ketone, and none came."""
    FLOOD = "flood"
    """The sensor sent more than its share of the agent's time or memory."""
    UNBOUND_USER = "unbound_user"
    """Of another user of the sensor, of an unknown one, or of none where one is bound."""


FROM_SENSOR: Final = frozenset(
    {
        Refusal.OFF_BODY,
        Refusal.WARM_UP,
        Refusal.SATURATED,
        Refusal.SENSOR_FAULT,
        Refusal.NO_VALUE,
        Refusal.IMPLAUSIBLE,
        Refusal.POOR_SIGNAL,
        Refusal.DEMONSTRATION,
        Refusal.CONTROL_SOLUTION,
        Refusal.KETONE,
        Refusal.UNKNOWN_ANALYTE,
        Refusal.OTHER_SPECIMEN,
        Refusal.CONTEXT_MISSING,
        Refusal.UNDATED,
    }
)
"""The reasons that a source of measurements may give. All others are decisions of the agent."""


class DecodeFault(enum.StrEnum):
    """Why the bytes of a Bluetooth characteristic hold no value. A closed set."""

    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing_bytes"
    RESERVED_VALUE = "reserved_value"
    BAD_CRC = "bad_crc"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    """Longer than any attribute may be: 512 bytes."""
