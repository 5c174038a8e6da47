"""
The register of due dates: each request of a person under the GDPR, and when the answer is due.

The answer is due one month after receipt, or three months with an extension. The person is told of
the extension and its reason (art. 12(3)). A month ends on the day with the same number, or on the
last day of a shorter month.
"""

import calendar
import datetime as dt
import enum
from typing import Final
from uuid import UUID

import msgspec

from trust.errors import Conflict, Refused

MONTHS: Final = 1
MONTHS_EXTENDED: Final = 3
WARN_BEFORE: Final = dt.timedelta(days=7)


class RequestKind(enum.StrEnum):
    """The right that the person exercises."""

    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"


class RequestOutcome(enum.StrEnum):
    """How the request was answered."""

    GRANTED = "granted"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class Urgency(enum.StrEnum):
    """How near the due date is."""

    CLOSED = "closed"
    OPEN = "open"
    SOON = "soon"
    OVERDUE = "overdue"


class RightsRequest(msgspec.Struct, frozen=True):
    """One request of one person, with its dates and its outcome."""

    request: UUID
    subject: UUID
    kind: RequestKind
    received_at: dt.datetime
    due_at: dt.datetime
    extended_because: str | None = None
    closed_at: dt.datetime | None = None
    outcome: RequestOutcome | None = None

    def urgency(self, *, at: dt.datetime) -> Urgency:
        """Return how near the due date is *at* a time."""
        if self.closed_at is not None:
            return Urgency.CLOSED
        if self.due_at <= at:
            return Urgency.OVERDUE
        return Urgency.SOON if self.due_at - at <= WARN_BEFORE else Urgency.OPEN

    def extended(self, because: str, *, at: dt.datetime) -> "RightsRequest":
        """
        Return this request, due two months later; the person is told of the extension *at* a time.

        Raises:
            Refused: The request is closed, overdue or already extended; or there is no reason.
        """
        if not because.strip():
            raise Refused("an extension has a reason, which the person is told")
        if self.closed_at is not None:
            raise Conflict("that request is closed")
        if self.extended_because is not None:
            raise Conflict("that request was extended before, and once is all that is allowed")
        if self.due_at <= at:
            raise Conflict(
                "that request is overdue: of an extension the person is told within the first"
                " month (GDPR art. 12(3)). Answer it now"
            )
        return msgspec.structs.replace(
            self,
            due_at=months_after(self.received_at, MONTHS_EXTENDED),
            extended_because=because,
        )


def received(
    request: UUID, subject: UUID, kind: RequestKind, *, received_at: dt.datetime
) -> RightsRequest:
    """Return a new open request that was received at a time, due one month later."""
    return RightsRequest(request, subject, kind, received_at, months_after(received_at, MONTHS))


def months_after(at: dt.datetime, months: int) -> dt.datetime:
    """Return the same day *months* later, or the last day of that month if it is shorter."""
    index = at.month - 1 + months
    year, month = at.year + index // 12, index % 12 + 1
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
