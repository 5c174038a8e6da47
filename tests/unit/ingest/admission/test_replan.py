"""Deciding again about some gateways gives the same plan as deciding again about all."""

import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from ingest.admission.admit import Admission, admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.permissions import Changes, Permissions
from ingest.admission.plan import Plan, make_plan
from ingest.admission.replan import replan
from ingest.values.delivery import EnvelopeId, Opened
from ingest.values.outcome import Reason
from tests.fakes.ingest import NOW_MS, SPOOL, PermissionRow, block, changes, opened, permission

_GATEWAYS = 40
_AGENTS = [f"{n:016x}" for n in range(1, _GATEWAYS + 1)]
_HANDLES = [n.to_bytes(16, "big") for n in range(1, _GATEWAYS + 1)]


class Decider:
    """Admits by the known permissions, and counts the calls."""

    def __init__(self) -> None:
        self.permissions = Permissions()
        self.permissions.apply(
            changes(
                1,
                is_complete=True,
                # The last agent may not send yet.
                agents=[(agent, "sealed") for agent in _AGENTS[:-1]],
                leases=[(agent, 1, 60_000, 1 << 50) for agent in _AGENTS],
                permissions=[_permission(n) for n in range(_GATEWAYS - 5)],
            )
        )
        self.asked: list[int] = []

    def admit(self, some: Sequence[Opened]) -> Admission:
        """Admit *some*, and count the call."""
        self.asked.append(len(some))
        return admit(
            some,
            permissions=self.permissions,
            last=LastReadings().reserve(),
            clock=ClockRules(),
            now_ms=NOW_MS,
        )


def _permission(number: int, *, is_withdrawn: bool = False) -> PermissionRow:
    return permission(
        handle=_HANDLES[number],
        agent=_AGENTS[number],
        series_id=number + 1,
        is_withdrawn=is_withdrawn,
    )


def _flush(chance: random.Random, *, without: Sequence[int] = ()) -> list[Opened]:
    found = []
    for sequence in range(1, 121):
        number = chance.choice([n for n in range(_GATEWAYS) if n not in without])
        one = opened(
            block(*[70 + n for n in range(chance.randrange(1, 4))], start_ms=NOW_MS - 60_000),
            handle=_HANDLES[number],
        )
        agent = _AGENTS[number]
        identity = EnvelopeId((agent, SPOOL), sequence - sequence % chance.choice([1, 1, 2]))
        found.append(msgspec.structs.replace(one, agent=agent, identity=identity))
    return found


def _what(plan: Plan) -> tuple[object, ...]:
    """Return everything that is written and counted of *plan*, in one order."""
    rows, blocks = plan.admission.rows, plan.admission.blocks
    return (
        plan.epoch,
        plan.verdicts,
        plan.admission.verdicts,
        plan.firsts,
        plan.claims,
        plan.repeats,
        plan.ledger(),
        sorted(
            zip(*(c.tolist() for c in msgspec.structs.astuple(rows)), strict=True),
        ),
        sorted(
            zip(*(c.tolist() for c in msgspec.structs.astuple(blocks)[:-1]), strict=True),
        ),
    )


_CHANGES = {
    "nobody of the flush": changes(2, permissions=[_permission(7, is_withdrawn=True)]),
    "a withdrawal": changes(2, permissions=[_permission(3, is_withdrawn=True)]),
    "a grant": changes(2, permissions=[_permission(_GATEWAYS - 3)]),
    "a revocation": changes(2, agents=[(_AGENTS[4], None)]),
    "an enrolment": changes(
        2, agents=[(_AGENTS[-1], "sealed")], permissions=[_permission(_GATEWAYS - 1)]
    ),
    "a lease": changes(2, leases=[(_AGENTS[5], 1, 60_000, 120_000)]),
    "a few at once": changes(
        2,
        agents=[(_AGENTS[8], None)],
        permissions=[_permission(2, is_withdrawn=True), _permission(_GATEWAYS - 2)],
    ),
}


@pytest.mark.parametrize("changed", _CHANGES.values(), ids=_CHANGES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_some_decided_anew_are_as_all(changed: Changes, seed: int) -> None:
    """
    Rows, ledger, verdicts and counts equal those of a complete decision, and few are decided
    twice.
    """
    decider = Decider()
    some = _flush(random.Random(seed), without=[7])
    plan = make_plan(decider.admit(some), some)
    decider.permissions.apply(changed)
    decider.asked.clear()

    found = replan(plan, changed, admit=decider.admit, now_ms=NOW_MS)

    assert sum(decider.asked) < len(some) / 4
    assert _what(found) == _what(make_plan(decider.admit(some), some))


def test_withdrawn_rows_are_not_in_the_plan_any_more() -> None:
    """A withdrawal removes the rows of its person, and no others."""
    decider = Decider()
    some = _flush(random.Random(1))
    plan = make_plan(decider.admit(some), some)
    changed = _CHANGES["a withdrawal"]
    decider.permissions.apply(changed)

    found = replan(plan, changed, admit=decider.admit, now_ms=NOW_MS)

    before, after = plan.admission.rows.series, found.admission.rows.series
    assert 4 in before
    assert np.array_equal(np.sort(before[before != 4]), np.sort(after))
    assert found.verdicts.count(Reason.WITHDRAWN) > 0


@pytest.mark.parametrize(
    ("changed", "now_ms"),
    [
        (changes(2, is_complete=True), NOW_MS),
        (Changes(2, is_complete=False, may_concern_all=True), NOW_MS),
        (changes(2, permissions=[_permission(n, is_withdrawn=True) for n in range(20)]), NOW_MS),
        (changes(2), 1 << 50),
    ],
    ids=[
        "everything was read",
        "nobody knows who is concerned",
        "half are concerned",
        "a permission has ended by itself",
    ],
)
def test_all_are_decided_anew_when_it_takes_that(changed: Changes, now_ms: int) -> None:
    """If an older decision may not be valid any more, everything is decided again."""
    decider = Decider()
    some = _flush(random.Random(1))
    plan = make_plan(decider.admit(some), some)
    decider.permissions.apply(changed)
    decider.asked.clear()

    found = replan(plan, changed, admit=decider.admit, now_ms=now_ms)

    assert decider.asked == [len(some)]
    assert _what(found) == _what(make_plan(decider.admit(some), some))


def test_poison_stays_poison() -> None:
    """An envelope that the database refused stays poison when a permission changes."""
    decider = Decider()
    one = _flush(random.Random(1))[:1]
    plan = make_plan(decider.admit(one), one, is_poison=True)
    decider.permissions.apply(changes(2))

    found = replan(plan, changes(2), admit=decider.admit, now_ms=NOW_MS)

    assert found.verdicts == plan.verdicts
    assert found.epoch == 2


def test_interval_is_kept_with_a_gateway_that_no_change_concerns() -> None:
    """A consent at one of a person's gateways adds no second reading to an interval."""
    decider = Decider()
    rule = (1, 60_000, 1)
    home, work = (
        permission(handle=_HANDLES[n], agent=_AGENTS[n], series_id=1, rule=rule) for n in (0, 1)
    )
    decider.permissions.apply(changes(2, permissions=[home]))
    start_ms = NOW_MS // 60_000 * 60_000 - 600_000
    some = []
    for number, at_ms in [
        (0, start_ms),
        (1, start_ms + 1),
        *((0, start_ms + n * 60_000) for n in range(1, 9)),
    ]:
        one = opened(block(70, start_ms=at_ms), handle=_HANDLES[number])
        identity = EnvelopeId((_AGENTS[number], SPOOL), at_ms)
        some.append(msgspec.structs.replace(one, agent=_AGENTS[number], identity=identity))
    plan = make_plan(decider.admit(some), some)
    granted = changes(3, permissions=[work])
    decider.permissions.apply(granted)

    found = replan(plan, granted, admit=decider.admit, now_ms=NOW_MS)

    assert found.verdicts[:2] == [None, Reason.POLICY_EXCEEDED]
    assert len(found.admission.rows) == 9


@pytest.mark.parametrize("change", ["revoked", "withdrawn"])
def test_interval_is_free_for_a_gateway_when_the_one_that_took_it_is_refused(change: str) -> None:
    """When a block is refused on the second decision, its interval is free for another gateway."""
    decider = Decider()
    rule = (1, 60_000, 1)
    home, work = (
        permission(handle=_HANDLES[n], agent=_AGENTS[n], series_id=1, rule=rule) for n in (0, 1)
    )
    decider.permissions.apply(changes(2, permissions=[home, work]))
    start_ms = NOW_MS // 60_000 * 60_000 - 600_000
    some = []
    for number, at_ms in [
        (0, start_ms),
        *((1, start_ms + 1 + n * 60_000) for n in range(8)),
    ]:
        one = opened(block(70, start_ms=at_ms), handle=_HANDLES[number])
        identity = EnvelopeId((_AGENTS[number], SPOOL), at_ms)
        some.append(msgspec.structs.replace(one, agent=_AGENTS[number], identity=identity))
    plan = make_plan(decider.admit(some), some)
    assert plan.verdicts[:2] == [None, Reason.POLICY_EXCEEDED]
    if change == "revoked":
        changed = changes(3, agents=[(_AGENTS[0], None)])
    else:
        gone = permission(
            handle=_HANDLES[0], agent=_AGENTS[0], series_id=1, rule=rule, is_withdrawn=True
        )
        changed = changes(3, permissions=[gone])
    decider.permissions.apply(changed)

    found = replan(plan, changed, admit=decider.admit, now_ms=NOW_MS)

    assert found.verdicts[0] is not None
    assert found.verdicts[1:] == [None] * 8
    assert len(found.admission.rows) == 8
