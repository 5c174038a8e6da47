"""
Sensor units to steps of resolution, by integer arithmetic: no value passes through a float.

A conversion is a fraction of whole numbers, so that each value is rounded exactly once, to the
nearest step; a value halfway between two steps goes to the even one, as `round` does.
"""

from typing import Final

import msgspec

from edge_agent.gatt.ieee11073 import TEN_TO, Scaled
from wire.quantities import round_half_even


class Conversion(msgspec.Struct, frozen=True):
    """
    From a sensor's unit to the unit of a quantity: (x + offset) * numerator / denominator.

    Attributes:
        numerator: Above the line.
        denominator: Below the line, greater than 0.
        offset: Added before the multiplication, in the sensor's unit.
    """

    numerator: int = 1
    denominator: int = 1
    offset: int = 0

    def steps(self, number: int | Scaled, per_unit: int) -> int:
        """
        Return *number*, in the sensor's unit, as the nearest whole number of steps.

        Args:
            number: As the sensor sent it.
            per_unit: Steps of resolution in one unit of the quantity.
        """
        if isinstance(number, Scaled):
            tens = TEN_TO[-number.exponent]
            dividend = (number.mantissa + self.offset * tens) * self.numerator * per_unit
            return round_half_even(dividend, self.denominator * tens)
        return round_half_even(
            (number + self.offset) * self.numerator * per_unit, self.denominator
        )


SAME_UNIT: Final = Conversion()
"""For a sensor that sends the quantity's own unit."""

MMOL_PER_L_FROM_MG_PER_DL: Final = Conversion(10_000, 180_156)
"""Glucose, C6H12O6, has a molar mass of 180.156 g/mol: 1 mmol/L is 18.0156 mg/dL."""
