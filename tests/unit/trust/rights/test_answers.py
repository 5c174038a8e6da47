"""Decisions in an export: their FHIR status is that at the time of the export."""

import datetime as dt
import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from formats.fhir import bundle
from formats.person import Status
from tests.support.observations import person
from tests.unit.trust.decisions.test_standing import DAY, T0, decide
from trust.decisions.decisions import Decision, State
from trust.rights.answers import Answered, answered


def answers(
    *chain: Decision, at: dt.datetime = T0 + 10 * DAY
) -> tuple[list[Answered], list[dict[str, Any]]]:
    """Return the decisions of *chain*, one recorded each day, and their Consents."""
    named = [
        msgspec.structs.replace(one, decision=UUID(int=number)) for number, one in enumerate(chain)
    ]
    recorded_at = {one.decision: T0 + number * DAY for number, one in enumerate(named)}
    found = list(answered(named, recorded_at, at=at))
    made = bundle.lines(person(a.consent() for a in found), [], made_at=at, version="1")
    resources = [entry["resource"] for entry in json.loads(b"".join(made))["entry"]]
    return found, [one for one in resources if one["resourceType"] == "Consent"]


def told(*chain: Decision, at: dt.datetime = T0 + 10 * DAY) -> list[tuple[str, str]]:
    """Return status and type of each Consent of *chain*."""
    return [(one["status"], one["provision"]["type"]) for one in answers(*chain, at=at)[1]]


def test_nothing_is_active_after_a_withdrawal() -> None:
    """After a withdrawal all five Consents are inactive."""
    chain = [decide(State.ACCEPTED)] * 4 + [decide(State.WITHDRAWN)]
    assert told(*chain) == [("inactive", "permit")] * 4 + [("inactive", "deny")]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.ACCEPTED, ("active", "permit")),
        (State.REFUSED, ("rejected", "deny")),
        (State.DECLINED, ("rejected", "deny")),
        (State.NOT_CHOSEN, ("proposed", "deny")),
        (State.NOT_ASKED, ("inactive", "deny")),
        (State.UNKNOWN, ("inactive", "deny")),
        (State.EXPIRED, ("inactive", "deny")),
        (State.RESTRICTED, ("inactive", "deny")),
        (State.INVALIDATED, ("entered-in-error", "deny")),
    ],
)
def test_a_state_has_a_status(state: State, expected: tuple[str, str]) -> None:
    """A Consent permits only while the person's consent is in force."""
    assert told(decide(state)) == [expected]


def test_a_period_ends_when_the_next_decision_was_recorded() -> None:
    """The period of a replaced Consent ends when the next decision was recorded."""
    _, (first, second) = answers(decide(State.ACCEPTED), decide(State.ACCEPTED))
    assert first["provision"]["period"]["end"] == "2026-01-02T00:00:00.000Z"
    assert "end" not in second["provision"]["period"]


def test_an_expired_yes_is_inactive_and_a_future_one_has_its_period() -> None:
    """An expired consent is inactive, and a future one has its period."""
    over = decide(State.ACCEPTED, valid_to=T0 + DAY)
    assert told(over, at=T0) == [("active", "permit")]
    assert told(over, at=T0 + DAY) == [("inactive", "permit")]
    _, (future,) = answers(decide(State.ACCEPTED, valid_from=T0 + 20 * DAY))
    assert future["status"] == Status.ACTIVE
    assert future["provision"]["period"] == {"start": "2026-01-21T00:00:00.000Z"}


def test_a_lifted_restriction_leaves_one_active_consent() -> None:
    """During a restriction no Consent is active; afterwards the earlier one is active again."""
    yes, restricted = decide(State.ACCEPTED), decide(State.RESTRICTED)
    assert told(yes, restricted) == [("inactive", "permit"), ("inactive", "deny")]
    assert told(yes, restricted, yes)[-1] == ("active", "permit")


def test_the_document_of_an_answer_has_its_standing() -> None:
    """The readable file has each decision as it was signed, with its standing."""
    (first, second), _ = answers(decide(State.ACCEPTED), decide(State.WITHDRAWN))
    assert first.document()["state"] == "accepted"
    assert first.document()["standing"] == "superseded"
    assert second.document()["standing"] == "withdrawn"
    assert second.document()["replaced_at"] is None
