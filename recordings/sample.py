"""
A sample: what a sensor shows at one moment of a recording.

Either a value or a fault, never both: a sensor off the wrist does not measure 0.
"""

import enum

import msgspec


class SampleFault(enum.StrEnum):
    """Why a sensor has no value."""

    OFF_BODY = "off_body"
    WARM_UP = "warm_up"
    SATURATED = "saturated"
    SENSOR_FAULT = "sensor_fault"


class Sample(msgspec.Struct, frozen=True, gc=False):
    """
    One value, or one fault.

    Args:
        offset_ms: Time in ms from the origin of the recording: from 1970 if its clock tells
            the date, otherwise from its first moment.

        quantity: Name of the quantity, from `wire.quantities`.

        value: In the canonical unit of the quantity; None for a fault.

        fault: Why there is no value; None if there is one.
    """

    offset_ms: int
    quantity: str
    value: float | None = None
    fault: SampleFault | None = None
