"""
Reminders: a person for or with whom a guardian decided reaches the age to decide alone.

Reminders are not stored: the month of birth stays sealed with the identity and is read when due
dates are listed.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from trust.config import ConsentSettings
from trust.decisions.decisions import Decision, GivenBy, State, current
from trust.decisions.representatives import reaches
from trust.domain.due_dates import WARN_BEFORE, Urgency

KIND: Final = "own-decision"
SHOWN_BEFORE: Final = dt.timedelta(days=30)
"""How long before its date a reminder is shown, to leave time to invite the person."""


class Reminder(msgspec.Struct, frozen=True):
    """A person must be asked for their own decision about a purpose."""

    subject: UUID
    purpose: str
    due_at: dt.datetime

    def urgency(self, *, at: dt.datetime) -> Urgency:
        """Return how near the date of this reminder is *at* a time."""
        if self.due_at <= at:
            return Urgency.OVERDUE
        return Urgency.SOON if self.due_at - at <= WARN_BEFORE else Urgency.OPEN


def reminder(
    chain: Sequence[Decision], *, born: str | None, ages: ConsentSettings
) -> Reminder | None:
    """
    Return the reminder to ask a person for their own decision, or None if none is needed.

    Args:
        chain: The decisions of the person for one purpose, in their order.

        born: The month of birth, as 2014-05, if it is known.

        ages: The ages from which a person decides with a guardian or alone.
    """
    latest = current(chain)
    if born is None or latest is None or latest.state is not State.ACCEPTED:
        return None
    if latest.given_by not in (GivenBy.GUARDIAN, GivenBy.JOINT):
        return None
    alone_at, of_age_at = reaches(born, ages.alone_from), reaches(born, ages.majority)
    # A person who agreed with a guardian at an age to decide alone is asked once they are of age.
    due_at = alone_at if latest.decided_at < alone_at else of_age_at
    return Reminder(latest.subject, latest.purpose, due_at)
