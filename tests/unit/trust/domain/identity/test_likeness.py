"""Names are the same however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.domain.identity.likeness import comparable, matricule_likeness, name_likeness


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoé", "ZOE\u0301"),
        ("Jean-Pierre Dupont", "JEAN PIERRE  dupont"),
        ("D'Été", "d\u2019ete"),
        ("Œdipe", "OEDIPE"),
        ("Straße", "STRASSE"),
        ("Łukasz", "lukasz"),
        ("İnci", "inci"),
        ("Ａｄａ", "Ada"),
        ("Ada\u00a0Lovelace", "Ada Lovelace"),
        ("Ada\u2011Lovelace", "Ada-Lovelace"),
    ],
)
def test_writing_makes_no_difference(one: str, other: str) -> None:
    """Case, accents, blanks, hyphens, apostrophes and ligatures do not matter."""
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Ada", "Eda"), ("Martin", "Martina"), ("山田", "山本"), ("-", "--")]
)
def test_other_names_stay_others(one: str, other: str) -> None:
    """Names with other letters are not confused, in any script."""
    assert comparable(one) != comparable(other)


@given(st.text(min_size=1))
def test_every_name_has_something_to_compare(name: str) -> None:
    """Comparing twice changes nothing, and no name is empty unless it folds away."""
    assert comparable(comparable(name) or "x") == (comparable(name) or "x")


def test_digests_depend_on_key_month_and_authority() -> None:
    """Without the key, or with another month, a digest is another one."""
    key, other = b"k" * 32, b"o" * 32
    one = name_likeness("Zoé", "1980-01", key=key)
    assert one == name_likeness("zoe", "1980-01", key=key)
    assert len({
        one,
        name_likeness("zoe", "1980-01", key=other),
        name_likeness("zoe", "1980-02", key=key),
        name_likeness("zoe", None, key=key),
        matricule_likeness("255081416802538", "1.2.250.1.213.1.4.8", key=key),
        matricule_likeness("255081416802538", "1.2.250.1.213.1.4.9", key=key),
    }) == 6  # fmt: skip
