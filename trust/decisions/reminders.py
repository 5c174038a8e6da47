"""
Reminders: when somebody for whom, or with whom, a guardian agreed comes to decide alone.

Nothing of it is stored: the month of birth stays sealed with the identity, and is looked at when
due dates are listed.
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
"""Long enough to invite the person."""


class Reminder(msgspec.Struct, frozen=True):
    """Somebody is to be asked what she herself decides for a purpose."""

    subject: UUID
    purpose: str
    due_at: dt.datetime

    def urgency(self, *, at: dt.datetime) -> Urgency:
        """Return how it stands *at* a time."""
        if self.due_at <= at:
            return Urgency.OVERDUE
        return Urgency.SOON if self.due_at - at <= WARN_BEFORE else Urgency.OPEN


def reminder(
    chain: Sequence[Decision], *, born: str | None, ages: ConsentSettings
) -> Reminder | None:
    """
    Return when a person is to be asked for a decision of her own; None for never.

    Args:
        chain: Her decisions for one purpose, in their order.

        born: Her month of birth, if it is known.

        ages: From which age who decides.
    """
    latest = current(chain)
    if born is None or latest is None or latest.state is not State.ACCEPTED:
        return None
    if latest.given_by not in (GivenBy.GUARDIAN, GivenBy.JOINT):
        return None
    alone_at, of_age_at = reaches(born, ages.alone_from), reaches(born, ages.majority)
    # Who agreed together with a guardian at an age to decide alone is asked once she is of age.
    due_at = alone_at if latest.decided_at < alone_at else of_age_at
    return Reminder(latest.subject, latest.purpose, due_at)
