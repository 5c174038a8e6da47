"""
A sample: what a sensor of a simulated person shows at one moment of its recording.

Either a value or a fault, never both: a sensor off the wrist does not measure 0.
"""

import enum

import msgspec


class SampleFault(enum.StrEnum):
    """Why a sensor has no value to show."""

    OFF_BODY = "off_body"
    WARM_UP = "warm_up"
    SATURATED = "saturated"
    SENSOR_FAULT = "sensor_fault"


class Sample(msgspec.Struct, frozen=True, gc=False):
    """
    One value, or one fault.

    Args:
        offset_ms: When, counted from the origin of the recording: 1970 where its clock tells the
            date, its own first moment where it does not.

        quantity: Name of the quantity.

        value: In the quantity's canonical unit, or None for a fault.

        fault: Why there is no value, or None.
    """

    offset_ms: int
    quantity: str
    value: float | None = None
    fault: SampleFault | None = None
