"""
Who may decide for a person, or with them: guardians, joint consent, proxies.

The law behind the numbers is French: below 15 a minor consents together with who has parental
authority (loi Informatique et Libertés, art. 45), from 15 alone; parental authority ends at 18.
Other states chose other ages (GDPR art. 8: 13 to 16), so they are settings.
"""

import datetime as dt
import enum
import re
from typing import Final
from uuid import UUID

import msgspec

from trust.config import ConsentSettings
from trust.decisions.decisions import GivenBy
from trust.errors import Refused, Unusable

_OLDEST: Final = 130
"""Nobody lived longer; who types 1826 meant something else."""
BIRTH_MONTH: Final = r"(?:18|19|20)[0-9]{2}-(?:0[1-9]|1[0-2])"
"""The pattern of a year and a month."""
_BORN: Final = re.compile(BIRTH_MONTH)


class RepresentativeRole(enum.StrEnum):
    """What lets somebody decide for another person."""

    GUARDIAN = "guardian"
    """Has parental authority."""
    PROXY = "proxy"
    """Represents an adult, by a court's order or a mandate."""


class Shown(enum.StrEnum):
    """What showed that a representative is one."""

    BIRTH_CERTIFICATE = "birth-certificate"
    FAMILY_RECORD_BOOK = "family-record-book"
    COURT_ORDER = "court-order"
    MANDATE = "mandate"
    """Written, of the person themselves: as for a time when they cannot decide."""


class Representative(msgspec.Struct, frozen=True):
    """Who may decide for a subject, for which purposes and until when. Holds no name."""

    representative: UUID
    subject: UUID
    role: RepresentativeRole
    purposes: list[str]
    """Names of purposes; empty for all."""
    valid_from: dt.datetime
    valid_to: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    shown: Shown | None = None
    """None: of before it was asked."""


def is_birth_month(text: str) -> bool:
    """Tell whether *text* is a year and a month: the day of birth is nobody's business here."""
    return _BORN.fullmatch(text) is not None


def reaches(born: str, years: int) -> dt.datetime:
    """
    Return from when a person *born* in a month is certainly so many *years* old.

    The day is not kept, so it is the first of the month after.

    Raises:
        Unusable: It is no month.
    """
    if not is_birth_month(born):
        raise Unusable("a month of birth")
    year, month = (int(part) for part in born.split("-"))
    return dt.datetime(year + years + month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)


def check_born(born: str, *, at: dt.datetime) -> None:
    """
    Return if somebody alive *at* a time can be *born* in that month.

    Raises:
        Refused: It is in the future, or longer ago than anybody lives.
    """
    year, month = (int(part) for part in born.split("-"))
    if dt.datetime(year, month, 1, tzinfo=dt.UTC) > at:
        raise Refused("--born is in the future: give the year and month of birth")
    if at >= reaches(born, _OLDEST):
        raise Refused(f"--born is more than {_OLDEST} years ago: give the year and month of birth")


def check_giver(  # noqa: PLR0913 - what is known of an age is three things
    given_by: GivenBy,
    representative: Representative | None,
    *,
    born: str | None,
    purpose: str,
    at: dt.datetime,
    ages: ConsentSettings,
    of_age: bool = False,
    age_matters: bool = True,
) -> dt.datetime | None:
    """
    Return until when a decision can last that is given so; None for no end.

    Args:
        given_by: Who decides.

        representative: Who decides for or with the subject; None for nobody.

        born: The subject's month of birth. Who is of unknown age is neither of age nor below it.

        purpose: The name of what it is for.

        at: When it is decided: an age counts as it was then.

        ages: From which age who decides.

        of_age: An officer vouches that the subject is of age.

        age_matters: Whether it decides who may: it does where a purpose rests on consent.

    Raises:
        Refused: That person may not decide this.
    """
    if born is None:
        is_known = of_age or not age_matters
    else:
        is_known = True
        _check_age(born, is_vouched=of_age, at=at)
    if given_by is GivenBy.SELF:
        if representative is not None:
            raise Refused("who decides alone has no --representative")
        _check_alone(born, is_known=is_known, at=at, ages=ages)
        return None
    wanted = RepresentativeRole.PROXY if given_by is GivenBy.PROXY else RepresentativeRole.GUARDIAN
    if representative is None or representative.role is not wanted:
        raise Refused(f"--given-by {given_by} needs the --representative that is its {wanted}")
    ends = [_mandate(representative, purpose=purpose, at=at)]
    if wanted is RepresentativeRole.GUARDIAN:
        ends.append(_minority(given_by, born=born, at=at, ages=ages))
    else:
        _check_adult(born, is_known=is_known, at=at, ages=ages)
    return min((end for end in ends if end is not None), default=None)


def _check_age(born: str, *, is_vouched: bool, at: dt.datetime) -> None:
    if is_vouched:
        raise Refused("the month of birth is known, and tells the age: drop --of-age")
    try:
        check_born(born, at=at)
    except Refused:
        raise Refused(
            "the month of birth on record cannot be right: correct it with"
            " `vitalveil trust subject rectify --born YYYY-MM`"
        ) from None


def _check_known(*, is_known: bool) -> None:
    if not is_known:
        raise Refused(
            "the month of birth is not known, and who is of unknown age is not taken for an adult:"
            " add it with `vitalveil trust subject rectify --born YYYY-MM`, or have an officer who"
            " saw a proof of age vouch for it with --of-age OFFICER and --of-age-key FILE"
        )


def _check_alone(
    born: str | None, *, is_known: bool, at: dt.datetime, ages: ConsentSettings
) -> None:
    _check_known(is_known=is_known)
    if born is not None and at < reaches(born, ages.alone_from):
        raise Refused(
            f"below {ages.alone_from} a person decides together with a guardian:"
            " give --given-by joint and --representative"
        )


def _check_adult(
    born: str | None, *, is_known: bool, at: dt.datetime, ages: ConsentSettings
) -> None:
    _check_known(is_known=is_known)
    if born is not None and at < reaches(born, ages.majority):
        raise Refused(
            f"a proxy decides for an adult: below {ages.majority} it is a guardian, with"
            " --given-by joint or guardian"
        )


def _mandate(
    representative: Representative, *, purpose: str, at: dt.datetime
) -> dt.datetime | None:
    if representative.purposes and purpose not in representative.purposes:
        raise Refused("that representative's mandate does not cover this purpose")
    if representative.ended_at is not None or at < representative.valid_from:
        raise Refused("that representative's mandate is not in force")
    if representative.valid_to is not None and representative.valid_to <= at:
        raise Refused("that representative's mandate is over")
    return representative.valid_to


def _minority(
    given_by: GivenBy, *, born: str | None, at: dt.datetime, ages: ConsentSettings
) -> dt.datetime:
    if born is None:
        raise Refused(
            "a guardian decides for a minor, and the month of birth is not known:"
            " add it with `vitalveil trust subject rectify --born YYYY-MM`"
        )
    if at >= reaches(born, ages.majority):
        raise Refused("that person is of age, and decides alone")
    if given_by is GivenBy.GUARDIAN and at >= reaches(born, ages.joint_from):
        raise Refused(
            f"from {ages.joint_from} on a child is asked too: give --given-by joint, or self from"
            f" {ages.alone_from} on"
        )
    return reaches(born, ages.majority)
