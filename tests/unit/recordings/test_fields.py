"""Numbers in text files."""

import pytest

from recordings.parsing.fields import Decimals, number


@pytest.mark.parametrize(
    ("text", "expected"),
    [("72", 72.0), (" 6.5 ", 6.5), ("-1", -1.0), ("5.", 5.0)],
)
def test_number_reads_decimals(text: str, expected: float) -> None:
    """Plain decimals are numbers."""
    assert number(text) == expected


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e3", "1_000", "0x10", "７２", "72 bpm", "-"])
def test_number_reads_nothing_else(text: str) -> None:
    """Other notations that float() or int() accept are refused."""
    assert number(text) is None


def test_first_decimal_sign_decides_for_the_file() -> None:
    """After 5,1 a number with a point is not read: the comma might stand between thousands."""
    decimals = Decimals()

    assert decimals.read("5") == 5.0
    assert decimals.read("5,1") == 5.1
    assert decimals.has_other_sign("5.1")
    assert decimals.read("5.1") is None
    assert not decimals.has_other_sign("5,2")


@pytest.mark.parametrize("text", ["1.234,5", "1,234.5", "5,", ",5", "1,2,3"])
def test_two_signs_in_one_number_are_none(text: str) -> None:
    """Separators of thousands are not guessed."""
    assert Decimals().read(text) is None
