"""Numbers on command lines of simulators."""

import argparse

import pytest

from simulators.arguments import number, positive, whole


@pytest.mark.parametrize(
    "text", ["0", "51", "-1", "1.5", "many", "", pytest.param("nan", id="no number at all")]
)
def test_a_whole_number_out_of_bounds_is_refused_with_them(text: str) -> None:
    """A whole number out of range is refused with the accepted range."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"^1 to 50$"):
        whole(1, 50)(text)


@pytest.mark.parametrize("text", ["-0.1", "336.1", "nan", "inf", "a day"])
def test_a_number_out_of_bounds_is_refused(text: str) -> None:
    """A number out of range and a text that is no number are refused."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"^0 to 336$"):
        number(0, 336)(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9x"])
def test_what_is_not_above_nothing_is_refused(text: str) -> None:
    """A speed of 0 or infinity is refused."""
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        positive(text)


def test_bounds_are_taken() -> None:
    """The bounds themselves are accepted."""
    assert (whole(1, 50)("1"), whole(1, 50)("50")) == (1, 50)
    assert (number(0, 336)("0"), number(0, 336)("336")) == (0.0, 336.0)
    assert positive("0.5") == 0.5
