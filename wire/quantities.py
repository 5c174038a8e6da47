"""
The quantities that can be measured, each with its unit, code, resolution and plausible range.

On the wire a value is a whole number of steps of the quantity's resolution, so that it is rounded
only once and a policy is checked by integer arithmetic. Units are UCUM (https://ucum.org), codes
LOINC (https://loinc.org). The plausible range is wider than what a living person under care can
show. A value outside the range is refused as implausible, never stored and never replaced by 0.
"""

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

MISSING = -32768
"""The value of a sample that was not measured, in packed values."""

GLUCOSE_MG_DL_PER_MMOL_L = 18.0156
"""1 mmol/L of glucose in mg/dL: C6H12O6 has a molar mass of 180.156 g/mol."""


class GdprClass(enum.StrEnum):
    """The class of personal data, in the terms of GDPR art. 4(15) and 9."""

    HEALTH = "health"
    TECHNICAL = "technical"


class Code(enum.IntEnum):
    """The number of a quantity on the wire and in the database. Numbers are never used again."""

    HEART_RATE = 1
    RR_INTERVAL = 2
    GLUCOSE_CAPILLARY = 3
    GLUCOSE_INTERSTITIAL = 4
    SPO2 = 5
    PULSE_RATE = 6
    BLOOD_PRESSURE_SYSTOLIC = 7
    BLOOD_PRESSURE_DIASTOLIC = 8
    BLOOD_PRESSURE_MEAN = 9
    BODY_TEMPERATURE = 10
    BODY_WEIGHT = 11
    ENERGY_EXPENDED = 12
    BATTERY_LEVEL = 13


class Quantity(msgspec.Struct, frozen=True):
    """One kind of observation: its unit, resolution and plausible range."""

    code: Code
    name: str
    unit: str
    """The unit, in UCUM notation."""
    loinc: str | None
    per_unit: int
    """How many steps of resolution make one unit: 100 means a resolution of 0.01."""
    low: int
    """Least plausible value, in steps of resolution."""
    high: int
    """Greatest plausible value, in steps of resolution."""
    gdpr_class: GdprClass = GdprClass.HEALTH

    def to_steps(self, value: float) -> int:
        """Return *value* (in `unit`) as the nearest whole number of steps."""
        return round(value * self.per_unit)

    def to_unit(self, steps: int) -> float:
        """Return *steps* of resolution as a value in `unit`."""
        return steps / self.per_unit

    def is_plausible(self, steps: int) -> bool:
        """Tell whether *steps* lies in the plausible range."""
        return self.low <= steps <= self.high


_ALL = (
    Quantity(Code.HEART_RATE, "heart_rate", "/min", "8867-4", 1, 20, 300),
    Quantity(Code.RR_INTERVAL, "rr_interval", "ms", "8637-1", 1, 180, 4000),
    Quantity(Code.GLUCOSE_CAPILLARY, "glucose_capillary", "mmol/L", "14743-9", 100, 30, 5000),
    Quantity(
        Code.GLUCOSE_INTERSTITIAL, "glucose_interstitial", "mmol/L", "105272-9", 100, 100, 3400
    ),
    Quantity(Code.SPO2, "spo2", "%", "59408-5", 10, 300, 1000),
    Quantity(Code.PULSE_RATE, "pulse_rate", "/min", "8889-8", 1, 20, 300),
    Quantity(
        Code.BLOOD_PRESSURE_SYSTOLIC, "blood_pressure_systolic", "mm[Hg]", "8480-6", 10, 300, 3000
    ),
    Quantity(
        Code.BLOOD_PRESSURE_DIASTOLIC,
        "blood_pressure_diastolic",
        "mm[Hg]",
        "8462-4",
        10,
        150,
        2500,
    ),
    Quantity(Code.BLOOD_PRESSURE_MEAN, "blood_pressure_mean", "mm[Hg]", "8478-0", 10, 200, 2700),
    Quantity(Code.BODY_TEMPERATURE, "body_temperature", "Cel", "8310-5", 100, 2500, 4500),
    Quantity(Code.BODY_WEIGHT, "body_weight", "kg", "29463-7", 100, 40, 32767),
    Quantity(Code.ENERGY_EXPENDED, "energy_expended", "kJ", None, 1, 0, 32767),
    Quantity(Code.BATTERY_LEVEL, "battery_level", "%", None, 1, 0, 100, GdprClass.TECHNICAL),
)

QUANTITIES: Mapping[int, Quantity] = MappingProxyType({q.code: q for q in _ALL})
"""Every quantity, by its code."""

BY_NAME: Mapping[str, Quantity] = MappingProxyType({q.name: q for q in _ALL})
"""Every quantity, by its name."""


def all_quantities() -> Iterator[Quantity]:
    """Yield every quantity, in the order of its code."""
    return iter(_ALL)


def round_half_even(dividend: int, divisor: int) -> int:
    """Return the whole number nearest to *dividend* / *divisor* (greater than 0), ties to even."""
    if divisor == 1:
        return dividend
    quotient, rest = divmod(dividend, divisor)
    twice = 2 * rest
    return quotient + (twice > divisor or (twice == divisor and quotient & 1))


def glucose_from_mg_dl(mg_dl: float) -> float:
    """Convert a glucose concentration of *mg_dl* (mg/dL) to mmol/L."""
    return mg_dl / GLUCOSE_MG_DL_PER_MMOL_L
