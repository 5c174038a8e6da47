"""When a person who has come of age is asked for their own decision."""

import datetime as dt
from uuid import UUID

import msgspec
import pytest

from trust.config import ConsentSettings
from trust.decisions.decisions import Capture, Decision, GivenBy, State
from trust.decisions.reminders import Reminder, reminder
from trust.domain.due_dates import Urgency

AGES = ConsentSettings()
BORN = "2011-12"
FIFTEEN = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
OF_AGE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
BEFORE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def decided(
    given_by: GivenBy, *, at: dt.datetime = BEFORE, state: State = State.ACCEPTED
) -> Decision:
    """Return a decision."""
    return Decision(
        decision=UUID(int=1),
        subject=UUID(int=2),
        purpose="home-monitoring",
        version=1,
        state=state,
        quantities=["heart_rate"],
        recipients=[],
        decided_at=at,
        valid_from=at,
        given_by=given_by,
        capture=Capture("signature"),
    )


@pytest.mark.parametrize("given_by", [GivenBy.GUARDIAN, GivenBy.JOINT])
def test_due_when_she_comes_to_decide_alone(given_by: GivenBy) -> None:
    """A decision for a child, or with the child, is due again when they are certainly fifteen."""
    found = reminder([decided(given_by)], born=BORN, ages=AGES)
    assert found == Reminder(UUID(int=2), "home-monitoring", FIFTEEN)


def test_due_at_majority_when_agreed_to_jointly_after() -> None:
    """A joint decision after fifteen is due again at eighteen."""
    found = reminder([decided(GivenBy.JOINT, at=FIFTEEN)], born=BORN, ages=AGES)
    assert found is not None
    assert found.due_at == OF_AGE


@pytest.mark.parametrize(
    "latest",
    [
        pytest.param(decided(GivenBy.SELF, at=FIFTEEN), id="decided alone"),
        pytest.param(decided(GivenBy.JOINT, state=State.WITHDRAWN), id="withdrawn"),
        pytest.param(decided(GivenBy.PROXY), id="by a proxy"),
    ],
)
def test_nothing_is_due_otherwise(latest: Decision) -> None:
    """A person who decided alone or is not measured gets no reminder."""
    assert reminder([decided(GivenBy.GUARDIAN), latest], born=BORN, ages=AGES) is None


def test_nothing_is_known_without_a_birth_month() -> None:
    """Without a month of birth or without decisions there is no reminder."""
    assert reminder([decided(GivenBy.GUARDIAN)], born=None, ages=AGES) is None
    assert reminder([], born=BORN, ages=AGES) is None


def test_urgency_grows() -> None:
    """A reminder is open, soon within a week, and overdue from its day on."""
    due = msgspec.structs.replace(Reminder(UUID(int=2), "p", FIFTEEN))
    days = dt.timedelta(days=1)
    assert due.urgency(at=FIFTEEN - 8 * days) is Urgency.OPEN
    assert due.urgency(at=FIFTEEN - 7 * days) is Urgency.SOON
    assert due.urgency(at=FIFTEEN) is Urgency.OVERDUE
