"""SFLOAT and FLOAT: numbers and special values."""

import pytest

from edge_agent.gatt.ieee11073 import (
    NotANumber,
    Number,
    decimal_of,
    from_float,
    from_sfloat,
    to_float,
    to_sfloat,
)


def _exact(number: float | NotANumber) -> Number:
    return number if isinstance(number, NotANumber) else decimal_of(number)


@pytest.mark.parametrize(
    ("bits", "number"),
    [
        pytest.param(0x0000, 0.0, id="zero"),
        pytest.param(0x0072, 114.0, id="exponent 0"),
        pytest.param(0xF16C, 36.4, id="exponent -1"),
        pytest.param(0x1064, 1000.0, id="exponent 1"),
        pytest.param(0x8001, 1e-8, id="least exponent"),
        pytest.param(0x7001, 1e7, id="greatest exponent"),
        pytest.param(0x0FFF, -1.0, id="negative mantissa"),
        pytest.param(0x07FD, 2045.0, id="greatest with exponent 0"),
        pytest.param(0x0803, -2045.0, id="least with exponent 0"),
        pytest.param(0xF7FF, 204.7, id="the mantissa of NaN, with an exponent"),
        pytest.param(0xF800, -204.8, id="the mantissa of NRes, with an exponent"),
        pytest.param(0x07FF, NotANumber.NAN, id="NaN"),
        pytest.param(0x0800, NotANumber.NRES, id="NRes"),
        pytest.param(0x07FE, NotANumber.POSITIVE_INFINITY, id="+INF"),
        pytest.param(0x0802, NotANumber.NEGATIVE_INFINITY, id="-INF"),
        pytest.param(0x0801, NotANumber.RESERVED, id="reserved"),
    ],
)
def test_sfloat_says(bits: int, number: float | NotANumber) -> None:
    """
    Mantissa and exponent of an SFLOAT are two's complement; five patterns with exponent 0 are
    special.
    """
    assert from_sfloat(bits) == _exact(number)


@pytest.mark.parametrize(
    ("bits", "number"),
    [
        pytest.param(0xFF00016C, 36.4, id="exponent -1"),
        pytest.param(0xFE000E71, 36.97, id="exponent -2"),
        pytest.param(0x02000004, 400.0, id="exponent 2"),
        pytest.param(0xFFFFFFFF, -0.1, id="all ones is a number"),
        pytest.param(0x80000001, 1e-128, id="least exponent"),
        pytest.param(0x007FFFFD, 8388605.0, id="greatest with exponent 0"),
        pytest.param(0x007FFFFF, NotANumber.NAN, id="NaN"),
        pytest.param(0x00800000, NotANumber.NRES, id="NRes"),
        pytest.param(0x007FFFFE, NotANumber.POSITIVE_INFINITY, id="+INF"),
        pytest.param(0x00800002, NotANumber.NEGATIVE_INFINITY, id="-INF"),
        pytest.param(0x00800001, NotANumber.RESERVED, id="reserved"),
    ],
)
def test_float_says(bits: int, number: float | NotANumber) -> None:
    """A FLOAT has 24 bits of mantissa and 8 bits of exponent."""
    assert from_float(bits) == _exact(number)


def test_every_sfloat_survives_being_written() -> None:
    """Each of the 65,536 patterns is encoded again with the same meaning."""
    for bits in range(1 << 16):
        number = from_sfloat(bits)
        assert from_sfloat(to_sfloat(number)) == number


@pytest.mark.parametrize(
    ("number", "nearest"),
    [
        pytest.param(0.1 + 0.2, 0.3, id="noise of binary fractions is dropped"),
        pytest.param(123.456, 123.5, id="as many digits as fit"),
        pytest.param(204.8, 205.0, id="one digit less"),
        pytest.param(2046.0, 2050.0, id="a mantissa that would mean +INF"),
        pytest.param(-2048.0, -2050.0, id="a mantissa that would mean NRes"),
        pytest.param(4e-9, 0.0, id="less than half of the least"),
        pytest.param(123e-9, 120e-9, id="below the least exponent"),
        pytest.param(-0.0, 0.0, id="no negative zero"),
    ],
)
def test_number_that_does_not_fit_is_rounded(number: float, nearest: float) -> None:
    """A number that does not fit is encoded as the nearest one, and never as a special value."""
    assert from_sfloat(to_sfloat(number)) == decimal_of(nearest)


@pytest.mark.parametrize("number", [3e10, -3e10, float("inf"), float("nan")])
def test_number_beyond_the_format_is_an_error_of_the_writer(number: float) -> None:
    """A number that is too great or not finite is an error of the encoder."""
    with pytest.raises(ValueError, match=r"great|finite"):
        to_sfloat(number)


def test_whole_numbers_are_written_with_exponent_0() -> None:
    """Whole numbers are encoded with exponent 0, as sensors do, for instance 8388605."""
    assert to_sfloat(120.0) == 120
    assert to_float(8388605.0) == 8388605
