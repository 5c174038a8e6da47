"""
The numbers of medical devices: SFLOAT (16 bits) and FLOAT (32 bits) of IEEE 11073-20601.

Both are decimal: a mantissa times a power of ten, each in two's complement. Five bit patterns
stand for no number, and each of them has the exponent 0: the same mantissa with another exponent
is a number. What is read stays decimal (`Scaled`): most tenths have no exact binary fraction.
"""

import enum
import math
from decimal import Decimal
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


class Scaled(msgspec.Struct, frozen=True, gc=False):
    """
    A decimal fraction: mantissa * 10 ** exponent, as `scaled` makes it.

    The exponent is negative and the mantissa does not end in 0, so that equal numbers are equal
    structs.
    """

    mantissa: int
    exponent: int

    def __float__(self) -> float:
        """Return the nearest float, for a person to read."""
        return self.mantissa / TEN_TO[-self.exponent]


Number = int | Scaled | NotANumber
"""What a numeric field says. The type makes a caller ask whether there is a number at all."""

TEN_TO: Final[tuple[int, ...]] = tuple(10**n for n in range(400))
"""The powers of ten that a field or a float can need."""


def scaled(mantissa: int, exponent: int) -> int | Scaled:
    """Return *mantissa* * 10 ** *exponent*: an int when it is whole."""
    if exponent >= 0:
        return mantissa * TEN_TO[exponent]
    while mantissa % 10 == 0 and exponent:
        if not mantissa:
            return 0
        mantissa, exponent = mantissa // 10, exponent + 1
    return Scaled(mantissa, exponent) if exponent else mantissa


def decimal_of(value: float) -> int | Scaled:
    """
    Return the shortest decimal that reads as *value*: 36.4 for the float that prints as 36.4.

    Raises:
        ValueError: The float is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("a number of a sensor must be finite; send a NotANumber instead")
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    mantissa = int("".join(map(str, digits)))
    return scaled(-mantissa if value < 0 else mantissa, int(exponent))


class _Format(msgspec.Struct, frozen=True):
    """The layout of one of the two formats."""

    mantissa_bits: int
    exponent_bits: int
    digits: int
    """How many decimal digits may fit into the mantissa; one less always fits."""
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


def from_sfloat(bits: int) -> Number:
    """Return the number, or the special value, in the 16 *bits* of an SFLOAT."""
    return _from_bits(_SFLOAT, bits)


def to_sfloat(number: Number | float) -> int:
    """
    Return the SFLOAT nearest to *number*.

    Raises:
        ValueError: The number is too great for the format, or a float that is not finite.
    """
    return _to_bits(_SFLOAT, number)


def from_float(bits: int) -> Number:
    """Return the number, or the special value, in the 32 *bits* of a FLOAT."""
    return _from_bits(_FLOAT, bits)


def to_float(number: Number | float) -> int:
    """
    Return the FLOAT nearest to *number*.

    Raises:
        ValueError: The number is too great for the format, or a float that is not finite.
    """
    return _to_bits(_FLOAT, number)


def _from_bits(layout: _Format, bits: int) -> Number:
    # The whole pattern is looked up, so that a reserved mantissa counts only with exponent 0.
    special = layout.special.get(bits)
    if special is not None:
        return special
    mantissa = _signed(bits & ((1 << layout.mantissa_bits) - 1), layout.mantissa_bits)
    exponent = _signed(bits >> layout.mantissa_bits, layout.exponent_bits)
    return scaled(mantissa, exponent)


def _signed(value: int, bits: int) -> int:
    """Return the two's complement number in the lowest *bits* bits of *value*."""
    return value - (1 << bits) if value >> (bits - 1) else value


def _to_bits(layout: _Format, number: Number | float) -> int:
    if isinstance(number, NotANumber):
        return next(bits for bits, special in layout.special.items() if special is number)
    mantissa, exponent = _fit(layout, _as_decimal(number))
    if exponent not in layout.exponents:
        raise ValueError("the number is too great for its field of the characteristic")
    low = mantissa & ((1 << layout.mantissa_bits) - 1)
    return (exponent & ((1 << layout.exponent_bits) - 1)) << layout.mantissa_bits | low


def _as_decimal(number: float | Scaled) -> Decimal:
    exact = number if isinstance(number, int | Scaled) else decimal_of(number)
    if isinstance(exact, int):
        return Decimal(exact)
    return Decimal(f"{exact.mantissa}e{exact.exponent}")


def _fit(layout: _Format, number: Decimal) -> tuple[int, int]:
    """Return the mantissa and exponent nearest to *number*, as precise as fits."""
    mantissa, exponent = _decimal(number, layout.digits)
    # With exponent 0, the two greatest and the three least mantissas are the special values.
    limit = layout.limit
    if mantissa not in (range(-limit, limit) if exponent else range(-limit + 3, limit - 2)):
        mantissa, exponent = _decimal(number, layout.digits - 1)
    least = layout.exponents[0]
    if exponent < least:
        mantissa, exponent = round(number.scaleb(-least)), least
    while exponent < 0 and mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    return mantissa, exponent


def _decimal(number: Decimal, digits: int) -> tuple[int, int]:
    """Return *number*, rounded to *digits* digits, as a mantissa and an exponent of ten."""
    coefficient, _, exponent = f"{number:.{digits - 1}e}".partition("e")
    return int(coefficient.replace(".", "")), int(exponent) - digits + 1
