"""Who may decide for whom: ages, mandates and their ends."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
import pytest

from trust.config import ConsentSettings
from trust.decisions.decisions import GivenBy
from trust.decisions.representatives import (
    Representative,
    RepresentativeRole,
    check_born,
    check_giver,
    is_birth_month,
    reaches,
)
from trust.errors import Refused

AT = dt.datetime(2026, 6, 15, tzinfo=dt.UTC)
GUARDIAN = Representative(
    UUID(int=1), UUID(int=2), RepresentativeRole.GUARDIAN, [], AT - dt.timedelta(days=1)
)
PROXY = msgspec.structs.replace(
    GUARDIAN, role=RepresentativeRole.PROXY, purposes=["care"], valid_to=AT + dt.timedelta(days=30)
)


def check(given_by: GivenBy, who: Representative | None, born: str | None) -> dt.datetime | None:
    """Check with the ages of France."""
    return check_giver(given_by, who, born=born, purpose="care", at=AT, ages=ConsentSettings())


@pytest.mark.parametrize(
    ("born", "years", "at"),
    [
        ("2011-05", 15, "2026-06-01"),
        ("2011-12", 15, "2027-01-01"),
        ("2008-02", 18, "2026-03-01"),
    ],
)
def test_an_age_is_certain_the_month_after(born: str, years: int, at: str) -> None:
    """The day of birth is not stored, so an age counts from the end of the month."""
    assert reaches(born, years) == dt.datetime.fromisoformat(f"{at}T00:00+00:00")


@pytest.mark.parametrize("text", ["2011-13", "11-05", "2011-5", "2011-05-01", "", "२०११-05"])
def test_only_a_month_is_a_month(text: str) -> None:
    """Only a month in the form YYYY-MM is accepted."""
    assert not is_birth_month(text)
    assert is_birth_month("2011-05")


@pytest.mark.parametrize(
    ("given_by", "who", "born"),
    [
        pytest.param(GivenBy.SELF, None, "2011-06", id="not certainly 15 alone"),
        pytest.param(GivenBy.SELF, GUARDIAN, None, id="alone, with a representative"),
        pytest.param(GivenBy.GUARDIAN, GUARDIAN, "2018-01", id="a child that can be asked"),
        pytest.param(GivenBy.GUARDIAN, GUARDIAN, "1990-01", id="a guardian of an adult"),
        pytest.param(GivenBy.JOINT, GUARDIAN, "2008-04", id="of age, jointly"),
        pytest.param(GivenBy.JOINT, None, "2014-01", id="joint with nobody"),
        pytest.param(GivenBy.JOINT, PROXY, "2014-01", id="joint with a proxy"),
        pytest.param(GivenBy.GUARDIAN, GUARDIAN, None, id="age not known"),
        pytest.param(GivenBy.PROXY, GUARDIAN, None, id="a guardian as proxy"),
        pytest.param(GivenBy.SELF, None, None, id="alone, of unknown age"),
        pytest.param(GivenBy.PROXY, PROXY, None, id="a proxy of somebody of unknown age"),
        pytest.param(GivenBy.PROXY, PROXY, "2014-01", id="a proxy of a child"),
        pytest.param(GivenBy.SELF, None, "2026-07", id="born after it was decided"),
        pytest.param(GivenBy.GUARDIAN, GUARDIAN, "2027-01", id="a guardian of nobody yet"),
        pytest.param(GivenBy.SELF, None, "1890-01", id="nobody is that old at the time"),
        pytest.param(GivenBy.NOT_STATED, None, "1980-01", id="by nobody"),
    ],
)
def test_who_may_not_decide(
    given_by: GivenBy, who: Representative | None, born: str | None
) -> None:
    """A person who may not decide is refused."""
    with pytest.raises(Refused):
        check(given_by, who, born)


@pytest.mark.parametrize(
    ("given_by", "who", "born", "until"),
    [
        pytest.param(GivenBy.SELF, None, "1980-01", None, id="an adult"),
        pytest.param(GivenBy.SELF, None, "2011-05", None, id="15 and alone"),
        pytest.param(GivenBy.JOINT, GUARDIAN, "2014-01", "2032-02-01", id="12 and jointly"),
        pytest.param(GivenBy.JOINT, GUARDIAN, "2010-01", "2028-02-01", id="16 and jointly"),
        pytest.param(GivenBy.GUARDIAN, GUARDIAN, "2024-12", "2043-01-01", id="an infant"),
        pytest.param(GivenBy.PROXY, PROXY, "1940-01", "2026-07-15", id="a proxy"),
    ],
)
def test_who_may_decide_and_until_when(
    given_by: GivenBy, who: Representative | None, born: str | None, until: str | None
) -> None:
    """A decision lasts no longer than the mandate or age of the person who gave it."""
    expected = None if until is None else dt.datetime.fromisoformat(f"{until}T00:00+00:00")
    assert check(given_by, who, born) == expected


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"purposes": ["research"]}, id="another purpose"),
        pytest.param({"valid_to": AT}, id="over"),
        pytest.param({"valid_from": AT + dt.timedelta(days=1)}, id="not yet"),
        pytest.param({"ended_at": AT - dt.timedelta(hours=1)}, id="ended"),
    ],
)
def test_a_mandate_has_a_scope_and_an_end(changes: dict[str, Any]) -> None:
    """A proxy decides only within the mandate's purposes and period."""
    assert check(GivenBy.PROXY, PROXY, "1940-01") is not None
    with pytest.raises(Refused):
        check(GivenBy.PROXY, msgspec.structs.replace(PROXY, **changes), "1940-01")


def test_other_countries_have_other_ages() -> None:
    """The ages are settings, because countries differ (GDPR art. 8: 13 to 16)."""
    ages = ConsentSettings(alone_from=16)
    with pytest.raises(Refused, match="below 16"):
        check_giver(GivenBy.SELF, None, born="2011-05", purpose="care", at=AT, ages=ages)


@pytest.mark.parametrize("given_by", [GivenBy.SELF, GivenBy.PROXY])
def test_unknown_age_has_two_ways_out(given_by: GivenBy) -> None:
    """
    With an unknown age an officer confirms that the person is of age, or the purpose needs no
    consent.
    """
    who = PROXY if given_by is GivenBy.PROXY else None
    for known in ({"of_age": True}, {"age_matters": False}):
        check_giver(
            given_by, who, born=None, purpose="care", at=AT, ages=ConsentSettings(), **known
        )


def test_a_known_age_is_not_vouched_for() -> None:
    """If a month of birth is known, no officer can confirm another age."""
    with pytest.raises(Refused, match="drop --of-age"):
        check_giver(
            GivenBy.SELF, None, born="2014-01", purpose="care", at=AT, ages=ConsentSettings(),
            of_age=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("born", "is_possible"),
    [("2026-06", True), ("2026-07", False), ("1896-06", True), ("1896-05", False)],
)
def test_a_month_of_birth_is_possible_or_refused(born: str, is_possible: bool) -> None:
    """A month of birth in the future or more than 130 years ago is refused."""
    if is_possible:
        check_born(born, at=AT)
        return
    with pytest.raises(Refused, match="--born"):
        check_born(born, at=AT)
