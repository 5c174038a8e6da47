"""The matricule INS: its key, its authority, and the status that it goes with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.domain.identity.national import (
    IdentityAuthority,
    IdentityStatus,
    checked_matricule,
    key_of,
    national_identity,
)
from trust.errors import Refused

NIR = "255081416802538"
"""The example of the INSEE's own page on the number."""


_A, _B = "180012A004123", "180012B004123"


@pytest.mark.parametrize(
    ("text", "matricule"),
    [
        (NIR, NIR),
        ("2 55 08 14 168 025 38", NIR),
        (
            "1 80 01 2a 004 123 " + key_of("180012A004123"),
            "180012A004123" + key_of("180012A004123"),
        ),
        ("180012B004123" + key_of("180012B004123"), "180012B004123" + key_of("180012B004123")),
    ],
)
def test_a_matricule_is_read_with_its_key(text: str, matricule: str) -> None:
    """Blanks and case do not matter; 2A and 2B are the departments of Corsica."""
    assert checked_matricule(text) == matricule


def test_corsica_counts_as_19_and_18() -> None:
    """The key of 2A is that of 19, and the key of 2B that of 18."""
    assert key_of("180012A004123") == key_of("1800119004123")
    assert key_of("180012B004123") == key_of("1800118004123")


@pytest.mark.parametrize(
    "text",
    ["", NIR[:13], NIR + "0", "2550814168025AB", "255082C16802538", "２55081416802538", "Ada"],
)
def test_what_is_no_matricule_is_refused(text: str) -> None:
    """An error says the form, and never repeats the text."""
    with pytest.raises(Refused, match="13 digits") as refused:
        checked_matricule(text)
    assert "Ada" not in str(refused.value)


@given(place=st.integers(0, 12), digit=st.sampled_from("0123456789"))
def test_one_wrong_digit_is_noticed(place: int, digit: str) -> None:
    """97 is a prime that divides no power of ten: every single wrong digit changes the key."""
    wrong = NIR[:place] + digit + NIR[place + 1 :]
    if wrong == NIR:
        return
    with pytest.raises(Refused, match="key"):
        checked_matricule(wrong)


@pytest.mark.parametrize("status", list(IdentityStatus))
def test_only_what_insi_gave_has_a_matricule(status: IdentityStatus) -> None:
    """A retrieved or qualified identity has a matricule, and one of another status has none."""
    right, wrong = (NIR, None) if status.has_matricule else (None, NIR)
    found = national_identity(status, matricule=right, authority=None)
    assert found.matricule == right
    assert found.authority is (IdentityAuthority.NIR if right else None)
    with pytest.raises(Refused, match="matricule"):
        national_identity(status, matricule=wrong, authority=None)


def test_the_authorities_are_those_of_the_ans() -> None:
    """NIR and NIA, in service and for tests."""
    assert [one.value.rpartition(".")[2] for one in IdentityAuthority] == ["8", "9", "10", "11"]


def test_printing_shows_no_number() -> None:
    """The matricule of a person never gets into a log by its object."""
    one = national_identity(IdentityStatus.QUALIFIED, matricule=NIR, authority=None)
    assert NIR[:5] not in f"{one} {one!r}"
