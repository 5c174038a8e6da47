"""
The numbers of medical devices: SFLOAT (16 bits) and FLOAT (32 bits) of IEEE 11073-20601.

Decimal: a mantissa times a power of ten, both in two's complement. Five patterns are no numbers,
and each of them has the exponent 0: the same mantissa with another exponent is a number.
"""

import enum
import math
from typing import Final

import msgspec


class NotANumber(enum.Enum):
    """What a sensor sends in place of a number."""

    NAN = "NaN"
    """An invalid or missing result."""
    NRES = "NRes"
    """Not at this resolution: the number does not fit."""
    POSITIVE_INFINITY = "+INF"
    NEGATIVE_INFINITY = "-INF"
    RESERVED = "RFU"


Number = float | NotANumber
"""What such a field says; the type makes whoever wants a float ask whether there is one."""


class _Format(msgspec.Struct, frozen=True):
    """The layout of one of the two formats."""

    mantissa_bits: int
    exponent_bits: int
    digits: int
    """So many decimal digits may fit into the mantissa; one less always does."""
    special: dict[int, NotANumber]

    @property
    def limit(self) -> int:
        return 1 << (self.mantissa_bits - 1)

    @property
    def exponents(self) -> range:
        half = 1 << (self.exponent_bits - 1)
        return range(-half, half)


# IEEE 11073-20601, table of special values.
_SFLOAT: Final = _Format(
    mantissa_bits=12,
    exponent_bits=4,
    digits=4,
    special={
        0x07FF: NotANumber.NAN,
        0x0800: NotANumber.NRES,
        0x07FE: NotANumber.POSITIVE_INFINITY,
        0x0802: NotANumber.NEGATIVE_INFINITY,
        0x0801: NotANumber.RESERVED,
    },
)
_FLOAT: Final = _Format(
    mantissa_bits=24,
    exponent_bits=8,
    digits=7,
    special={
        0x007FFFFF: NotANumber.NAN,
        0x00800000: NotANumber.NRES,
        0x007FFFFE: NotANumber.POSITIVE_INFINITY,
        0x00800002: NotANumber.NEGATIVE_INFINITY,
        0x00800001: NotANumber.RESERVED,
    },
)
_TEN_TO: Final[tuple[int, ...]] = tuple(10**n for n in range(129))


def from_sfloat(bits: int) -> Number:
    """Return what the 16 *bits* of an SFLOAT say."""
    return _from_bits(_SFLOAT, bits)


def to_sfloat(number: Number) -> int:
    """
    Return the SFLOAT nearest to *number*.

    Raises:
        ValueError: It is too great, or a float that is itself not finite.
    """
    return _to_bits(_SFLOAT, number)


def from_float(bits: int) -> Number:
    """Return what the 32 *bits* of a FLOAT say."""
    return _from_bits(_FLOAT, bits)


def to_float(number: Number) -> int:
    """
    Return the FLOAT nearest to *number*.

    Raises:
        ValueError: It is too great, or a float that is itself not finite.
    """
    return _to_bits(_FLOAT, number)


def _from_bits(layout: _Format, bits: int) -> Number:
    # The whole pattern is looked up, so that a reserved mantissa counts only with exponent 0.
    special = layout.special.get(bits)
    if special is not None:
        return special
    mantissa = _signed(bits & ((1 << layout.mantissa_bits) - 1), layout.mantissa_bits)
    exponent = _signed(bits >> layout.mantissa_bits, layout.exponent_bits)
    # One correctly rounded operation on whole numbers: 36.97 comes out as the float 36.97.
    if exponent < 0:
        return mantissa / _TEN_TO[-exponent]
    return float(mantissa * _TEN_TO[exponent])


def _signed(value: int, bits: int) -> int:
    """Read *value*, of so many *bits*, as two's complement (not as a biased number)."""
    return value - (1 << bits) if value >> (bits - 1) else value


def _to_bits(layout: _Format, number: Number) -> int:
    if isinstance(number, NotANumber):
        return next(bits for bits, special in layout.special.items() if special is number)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    mantissa, exponent = _fit(layout, number)
    if exponent not in layout.exponents:
        raise ValueError("too great for the format")
    low = mantissa & ((1 << layout.mantissa_bits) - 1)
    return (exponent & ((1 << layout.exponent_bits) - 1)) << layout.mantissa_bits | low


def _fit(layout: _Format, number: float) -> tuple[int, int]:
    """Return the mantissa and exponent nearest to *number*, as precise as fits."""
    mantissa, exponent = _decimal(number, layout.digits)
    # With exponent 0, the two greatest and the three least mantissas are the special values.
    limit = layout.limit
    if mantissa not in (range(-limit, limit) if exponent else range(-limit + 3, limit - 2)):
        mantissa, exponent = _decimal(number, layout.digits - 1)
    least = layout.exponents[0]
    if exponent < least:
        mantissa, exponent = round(number * _TEN_TO[-least]), least
    while exponent < 0 and mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    return mantissa, exponent


def _decimal(number: float, digits: int) -> tuple[int, int]:
    """Return *number*, rounded to so many *digits*, as a whole number and a power of ten."""
    coefficient, _, exponent = f"{number:.{digits - 1}e}".partition("e")
    return int(coefficient.replace(".", "")), int(exponent) - digits + 1
