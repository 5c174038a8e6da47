"""Measurements in the units of their quantities."""

from edge_agent.values.measurement import Measurement
from wire.quantities import QUANTITIES


def value_of(measurement: Measurement) -> float | None:
    """Return the value of *measurement* in the quantity's unit; None if it has a fault."""
    if measurement.steps is None:
        return None
    return QUANTITIES[measurement.quantity].to_unit(measurement.steps)
