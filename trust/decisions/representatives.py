"""
Representatives: guardians and proxies, who may decide for a person or together with them.

The ages follow French law: below 15 a minor consents together with the holder of parental
authority (loi Informatique et Libertés, art. 45), and from 15 alone. Parental authority ends at
18. Other states chose other ages (GDPR art. 8: 13 to 16), so the ages are settings.
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
"""Largest plausible age in years: an older month of birth is a typing error."""
BIRTH_MONTH: Final = r"(?:18|19|20)[0-9]{2}-(?:0[1-9]|1[0-2])"
"""Regular expression of a year and a month, as 2014-05."""
_BORN: Final = re.compile(BIRTH_MONTH)


class RepresentativeRole(enum.StrEnum):
    """The role in which a representative decides for another person."""

    GUARDIAN = "guardian"
    """The guardian has parental authority."""
    PROXY = "proxy"
    """The proxy represents an adult, by a court order or a mandate."""


class Shown(enum.StrEnum):
    """The proof that a representative may represent the person."""

    BIRTH_CERTIFICATE = "birth-certificate"
    FAMILY_RECORD_BOOK = "family-record-book"
    COURT_ORDER = "court-order"
    MANDATE = "mandate"
    """A mandate that the person wrote, for example for a time when they cannot decide."""


class Representative(msgspec.Struct, frozen=True):
    """A representative of a subject, their purposes and the end of their role. Holds no name."""

    representative: UUID
    subject: UUID
    role: RepresentativeRole
    purposes: list[str]
    """Names of the purposes; an empty list means all purposes."""
    valid_from: dt.datetime
    valid_to: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    shown: Shown | None = None
    """None for representatives from releases that did not ask for a proof."""


def is_birth_month(text: str) -> bool:
    """Tell whether *text* is a year and a month, as 2014-05; the day of birth is not kept."""
    return _BORN.fullmatch(text) is not None


def reaches(born: str, years: int) -> dt.datetime:
    """
    Return the time from which a person *born* in a month is certainly *years* years old.

    The day of birth is not kept, so the result is the first day of the following month.

    Raises:
        Unusable: The text *born* is no year and month.
    """
    if not is_birth_month(born):
        raise Unusable("a month of birth")
    year, month = (int(part) for part in born.split("-"))
    return dt.datetime(year + years + month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)


def check_born(born: str, *, at: dt.datetime) -> None:
    """
    Check that a person who is alive *at* a time can be *born* in that month.

    Raises:
        Refused: The month is in the future, or longer ago than a person can live.
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
    Check who gives a decision; return the latest end of the decision, or None for no end.

    Args:
        given_by: The person or the representative, or both, who decide.

        representative: The representative who decides for or with the subject, if any.

        born: The month of birth of the subject. A subject of unknown age counts neither as of age
            nor as a minor.

        purpose: The name of the purpose.

        at: The time of the decision, at which the age is taken.

        ages: The ages from which a person decides with a guardian or alone.

        of_age: An officer vouches that the subject is of age.

        age_matters: Whether the age limits who may decide: true if the purpose needs consent.

    Raises:
        Refused: The given person or representative may not make this decision.
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
