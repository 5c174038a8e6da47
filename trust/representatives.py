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
from trust.decisions import GivenBy
from trust.errors import Refused

_BORN: Final = re.compile(r"((?:19|20)\d\d)-(0[1-9]|1[0-2])", re.ASCII)


class Role(enum.StrEnum):
    """What lets somebody decide for another person."""

    GUARDIAN = "guardian"
    """Has parental authority."""
    PROXY = "proxy"
    """Represents an adult, by a court's order or a mandate."""


class Representative(msgspec.Struct, frozen=True):
    """Who may decide for a subject, for which purposes and until when. Holds no name."""

    representative: UUID
    subject: UUID
    role: Role
    purposes: list[str]
    """Names of purposes; empty for all."""
    valid_from: dt.datetime
    valid_to: dt.datetime | None = None
    ended_at: dt.datetime | None = None


def is_birth_month(text: str) -> bool:
    """Tell whether *text* is a year and a month: the day of birth is nobody's business here."""
    return _BORN.fullmatch(text) is not None


def reaches(born: str, years: int) -> dt.datetime:
    """
    Return from when a person *born* in a month is certainly so many *years* old.

    The day is not kept, so it is the first of the month after.
    """
    year, month = (int(part) for part in born.split("-"))
    return dt.datetime(year + years + month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)


def check_giver(
    given_by: GivenBy,
    representative: Representative | None,
    *,
    born: str | None,
    purpose: str,
    at: dt.datetime,
    ages: ConsentSettings,
) -> dt.datetime | None:
    """
    Return until when a decision can last that is given so; None for no end.

    Args:
        given_by: Who decides.

        representative: Who decides for or with the subject; None for nobody.

        born: The subject's month of birth, if it is known.

        purpose: The name of what it is for.

        at: When.

        ages: From which age who decides.

    Raises:
        Refused: That person may not decide this.
    """
    if given_by is GivenBy.SELF:
        if representative is not None:
            raise Refused("who decides alone has no --representative")
        if born is not None and at < reaches(born, ages.alone_from):
            raise Refused(
                f"below {ages.alone_from} a person decides together with a guardian:"
                " give --given-by joint and --representative"
            )
        return None
    wanted = Role.PROXY if given_by is GivenBy.PROXY else Role.GUARDIAN
    if representative is None or representative.role is not wanted:
        raise Refused(f"--given-by {given_by} needs the --representative that is its {wanted}")
    ends = [_mandate(representative, purpose=purpose, at=at)]
    if wanted is Role.GUARDIAN:
        ends.append(_minority(given_by, born=born, at=at, ages=ages))
    return min((end for end in ends if end is not None), default=None)


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
