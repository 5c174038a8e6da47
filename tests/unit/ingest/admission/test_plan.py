"""The plan of a flush, and the outcomes of its deliveries."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission.admit import admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.plan import Plan, conclude, make_plan
from ingest.values.delivery import Opened
from ingest.values.outcome import Outcome, QuarantineReason, Reason
from tests.fakes.ingest import NOW_MS, block, knowing, opened, permission


def plan_of(*some: Opened, is_poison: bool = False) -> Plan:
    """Return the plan of *some* under one permission."""
    admission = admit(
        some,
        permissions=knowing(permission()),
        last=LastReadings().reserve(),
        clock=ClockRules(),
        now_ms=NOW_MS,
    )
    return make_plan(admission, some, is_poison=is_poison)


def bad_seal(sequence: int) -> Opened:
    """Return a delivery that no key opened."""
    one = opened(block(70), sequence=sequence)
    one.body, one.fault = None, Reason.BAD_SEAL
    return one


def test_ledger_is_in_the_order_of_identities() -> None:
    """Ledger rows are in the order of identities, so that two workers never deadlock."""
    plan = plan_of(*(opened(block(70), sequence=s) for s in (3, 1, 2)))
    assert plan.firsts == [1, 2, 0]
    assert [row.identity.sequence for row in plan.ledger()] == [1, 2, 3]
    assert plan.claims == [plan.opened[index].identity for index in plan.firsts]


def test_ledger_says_what_was_added() -> None:
    """
    The ledger has the number of rows of accepted envelopes, and 0 for refused and
    poisoned ones.
    """
    some = (opened(block(70, 71)), opened(block(5), sequence=2))
    assert [(r.outcome, r.observations) for r in plan_of(*some).ledger()] == [(0, 2), (1, 0)]
    poisoned = plan_of(*some, is_poison=True).ledger()
    assert [(row.outcome, row.observations) for row in poisoned] == [(2, 0), (1, 0)]


def stranger(sequence: int) -> Opened:
    """Return a delivery of an unknown agent."""
    one = opened(block(70), sequence=sequence)
    one.agent = "f" * 16
    return one


def of_no_handle(sequence: int) -> Opened:
    """Return a delivery that opened and names a handle of another agent."""
    return opened(block(70), sequence=sequence, handle=b"?" * 16)


def in_clear(sequence: int) -> Opened:
    """Return a JSON delivery with a valid handle, of an agent that must seal."""
    one = opened(block(70), sequence=sequence)
    one.is_json = True
    return one


def malformed(sequence: int) -> Opened:
    """Return a delivery that opened and has no valid body."""
    one = opened(block(70), sequence=sequence)
    one.body, one.fault = None, Reason.MALFORMED
    return one


ANYBODYS = [bad_seal, stranger, of_no_handle, in_clear, malformed]


@pytest.mark.parametrize("make", ANYBODYS)
def test_what_anyone_can_make_takes_no_identity(make: Callable[[int], Opened]) -> None:
    """
    A forgery takes no identity, so that the genuine envelope in the same flush or later
    is stored.
    """
    plan = plan_of(make(1), opened(block(70), digest=b"x" * 16), make(2))
    assert [row.identity.sequence for row in plan.ledger()] == [1]
    fates, conflicts = conclude(plan, {})
    assert (fates[1], conflicts) == ((Outcome.STORED, None), [])
    assert fates[0][0] is not Outcome.DUPLICATE


def test_unopened_are_told_in_the_order_of_identities() -> None:
    """Unopened deliveries are ordered by identity, so that two workers never deadlock."""
    plan = plan_of(bad_seal(3), opened(block(70), sequence=9), bad_seal(1))
    assert plan.unopened() == [2, 0]
    assert plan.poisoned() == []


def test_fates_of_new_and_known() -> None:
    """
    A new envelope gets its verdict, the same bytes are a duplicate, and other bytes a
    conflict.
    """
    plan = plan_of(
        opened(block(70)),
        opened(block(71), sequence=2, digest=b"2" * 16),
        opened(block(72), sequence=3, digest=b"3" * 16),
        opened(block(5), sequence=4),
    )
    fates, conflicts = conclude(plan, {1: b"2" * 16, 2: b"?" * 16})
    assert fates == [
        (Outcome.STORED, None),
        (Outcome.DUPLICATE, None),
        (Outcome.QUARANTINED, QuarantineReason.CONFLICT),
        (Outcome.REFUSED, Reason.IMPLAUSIBLE),
    ]
    assert conflicts == [2]


@given(st.sets(st.integers(1, 4)), st.sets(st.integers(1, 4)), st.booleans())
def test_fate_of_one_does_not_depend_on_the_others(
    known: set[int], refused: set[int], has_repeat: bool
) -> None:
    """Each delivery gets the same outcome alone and together with any others."""
    some = [opened(block(5 if s in refused else 70), sequence=s) for s in (1, 2, 3, 4)]
    before = {index: some[index].digest for index in range(4) if index + 1 in known}
    together = [*some, opened(block(70))] if has_repeat else some
    fates, conflicts = conclude(plan_of(*together), before)
    alone = [
        conclude(plan_of(one), {0: before[index]} if index in before else {})[0][0]
        for index, one in enumerate(some)
    ]
    assert fates == alone + [(Outcome.DUPLICATE, None)] * has_repeat
    assert conflicts == []


def test_repeats_within_a_flush_answer_to_the_first() -> None:
    """
    Of repeated identities in a flush the first is claimed, and the others are compared
    with it.
    """
    plan = plan_of(opened(block(70)), opened(block(70)), opened(block(71), digest=b"x" * 16))
    assert (plan.firsts, plan.repeats) == ([0], {1: 0, 2: 0})
    fates, conflicts = conclude(plan, {})
    assert [outcome for outcome, _ in fates] == [
        Outcome.STORED,
        Outcome.DUPLICATE,
        Outcome.QUARANTINED,
    ]
    assert conflicts == [2]
    assert conclude(plan, {0: b"x" * 16})[1] == [0, 1]


def test_only_accepted_rows_are_written() -> None:
    """If the claim of an envelope is lost, its rows are not written."""
    plan = plan_of(opened(block(70, 71)), opened(block(80), sequence=2), bad_seal(3))
    rows = plan.admission.rows.of(plan.accepted([1, 2]))
    assert rows.values.tolist() == [80.0]


def test_poison_overrules_acceptance_only() -> None:
    """Only an accepted envelope can become poison."""
    plan = plan_of(opened(block(70)), opened(block(5), sequence=2), is_poison=True)
    assert plan.verdicts == [QuarantineReason.POISON, Reason.IMPLAUSIBLE]
