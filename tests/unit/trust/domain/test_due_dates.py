"""Due dates: a month, three with an extension, and overdue requests."""

import datetime as dt
from uuid import UUID

import msgspec
import pytest

from trust.domain.due_dates import RequestKind, RightsRequest, Urgency, months_after, received
from trust.errors import Conflict, Refused


def at(day: str) -> dt.datetime:
    """Return the beginning of a day."""
    return dt.datetime.fromisoformat(f"{day}T00:00+00:00")


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        ("2026-01-15", 1, "2026-02-15"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-12-05", 1, "2027-01-05"),
        ("2026-11-30", 3, "2027-02-28"),
    ],
)
def test_a_month_later(day: str, months: int, later: str) -> None:
    """A month later is the same day of the next month, or its last day."""
    assert months_after(at(day), months) == at(later)


def request() -> RightsRequest:
    """Return a request that was received on the last day of January."""
    return received(UUID(int=1), UUID(int=2), RequestKind.ACCESS, received_at=at("2026-01-31"))


def test_urgency_grows() -> None:
    """An open request is soon due, then overdue; a closed one is neither."""
    days = {"2026-02-20": "open", "2026-02-21": "soon", "2026-02-28": "overdue"}
    assert {day: request().urgency(at=at(day)) for day in days} == days
    closed = msgspec.structs.replace(request(), closed_at=at("2026-02-01"))
    assert closed.urgency(at=at("2026-03-01")) is Urgency.CLOSED


def test_it_is_extended_once() -> None:
    """A request is extended once by two months from its receipt, and not after it is closed."""
    extended = request().extended("it is complex", at=at("2026-02-27"))
    assert extended.due_at == at("2026-04-30")
    with pytest.raises(Conflict):
        extended.extended("again", at=at("2026-02-27"))
    closed = msgspec.structs.replace(request(), closed_at=at("2026-02-01"))
    with pytest.raises(Conflict):
        closed.extended("late", at=at("2026-02-02"))


def test_what_is_overdue_is_not_extended() -> None:
    """
    An overdue request cannot be extended, because the person must be told within the
    first month.
    """
    with pytest.raises(Conflict, match="overdue"):
        request().extended("it is complex", at=at("2026-02-28"))


def test_an_extension_has_a_reason() -> None:
    """An extension needs a reason that is not blank."""
    with pytest.raises(Refused, match="reason"):
        request().extended(" ", at=at("2026-02-01"))
