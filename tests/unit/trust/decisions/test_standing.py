"""The standing of decisions: a replaced, ended or refused one is never in force."""

import datetime as dt
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.decisions.decisions import Capture, Decision, GivenBy, State
from trust.decisions.standing import Standing, standings

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def decide(
    state: State, *, valid_from: dt.datetime = T0, valid_to: dt.datetime | None = None
) -> Decision:
    """Return a decision with a *state*."""
    return Decision(
        decision=UUID(int=1), subject=UUID(int=2), purpose="care", version=1, state=state,
        quantities=["heart_rate"], recipients=[], decided_at=T0, valid_from=valid_from,
        valid_to=valid_to, given_by=GivenBy.SELF, capture=Capture("signature"),
    )  # fmt: skip


def of(*states: State) -> list[Standing]:
    """Return the standings of a chain with *states*."""
    return standings([decide(state) for state in states], at=T0 + DAY)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.ACCEPTED] * 4 + [State.WITHDRAWN], [Standing.SUPERSEDED] * 4
         + [Standing.WITHDRAWN]),
        ([State.ACCEPTED], [Standing.IN_FORCE]),
        ([State.REFUSED], [Standing.REFUSED]),
        ([State.DECLINED], [Standing.REFUSED]),
        ([State.REFUSED, State.ACCEPTED], [Standing.SUPERSEDED, Standing.IN_FORCE]),
        ([State.NOT_CHOSEN], [Standing.LEFT_OPEN]),
        ([State.NOT_ASKED], [Standing.UNASKED]),
        ([State.UNKNOWN], [Standing.UNASKED]),
        ([State.EXPIRED], [Standing.EXPIRED]),
        ([State.ACCEPTED, State.RESTRICTED], [Standing.SUPERSEDED, Standing.RESTRICTED]),
        ([State.ACCEPTED, State.INVALIDATED], [Standing.VOID, Standing.VOID]),
        ([State.ACCEPTED, State.INVALIDATED, State.ACCEPTED],
         [Standing.VOID, Standing.VOID, Standing.IN_FORCE]),
        ([], []),
    ],
)  # fmt: skip
def test_a_standing_follows_from_the_chain(states: list[State], expected: list[Standing]) -> None:
    """
    Only the latest decision can be in force, and a later decision can declare an earlier
    one void.
    """
    assert of(*states) == expected


def test_a_yes_is_in_force_within_its_period_only() -> None:
    """
    Before its period a consent is not yet in force, and from the instant of its end it
    is expired.
    """
    chain = [decide(State.ACCEPTED, valid_from=T0 + DAY, valid_to=T0 + 2 * DAY)]
    millisecond = dt.timedelta(milliseconds=1)
    told = [standings(chain, at=at)[0] for at in (
        T0, T0 + DAY - millisecond, T0 + DAY, T0 + 2 * DAY - millisecond, T0 + 2 * DAY,
    )]  # fmt: skip
    assert told == [
        Standing.NOT_YET, Standing.NOT_YET, Standing.IN_FORCE, Standing.IN_FORCE,
        Standing.EXPIRED,
    ]  # fmt: skip


@given(st.lists(st.sampled_from(State), max_size=6))
def test_at_most_the_latest_decision_is_in_force(states: list[State]) -> None:
    """Every decision has a standing, and only the latest can be in force."""
    told = of(*states)
    assert len(told) == len(states)
    in_force = [n for n, standing in enumerate(told) if standing is Standing.IN_FORCE]
    assert in_force == [len(states) - 1] * (states[-1:] == [State.ACCEPTED])
