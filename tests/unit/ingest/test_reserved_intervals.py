"""
Intervals that a flush has reserved and not stored are released, and blocks that met them
wait.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission.admit import Admission, admit, owners_of
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings, Reservation
from ingest.admission.permissions import Permissions
from ingest.admission.plan import STORED, make_plan, unstored
from ingest.values.delivery import EnvelopeId, Opened
from ingest.values.outcome import Outcome, QuarantineReason, Reason
from tests.fakes.ingest import AGENT, NOW_MS, SPOOL, changes, opened, permission
from wire.envelope import pack_block
from wire.quantities import Code

HOME, WORK = AGENT, "fedcba9876543210"
HANDLES = {HOME: b"1" * 16, WORK: b"2" * 16}
START_MS = NOW_MS // 60_000 * 60_000 - 3_600_000
REFUSED = Reason.POLICY_EXCEEDED


def knowing_two(interval_ms: int = 1000) -> Permissions:
    """Return permissions of two gateways of one person, in one series."""
    permissions = Permissions()
    permissions.apply(
        changes(
            1,
            is_complete=True,
            agents=[(HOME, "sealed"), (WORK, "sealed")],
            leases=[(agent, 1, 60_000, 1 << 50) for agent in HANDLES],
            permissions=[
                permission(handle=handle, agent=agent, series_id=7, rule=(1, interval_ms, 1))
                for agent, handle in HANDLES.items()
            ],
        )
    )
    return permissions


PERMISSIONS = knowing_two()


def sent(agent: str, *offsets_ms: int, sequence: int = 1) -> Opened:
    """Return an envelope of *agent* with an observation at each offset from the start."""
    times = [START_MS + offset for offset in offsets_ms]
    one = opened(pack_block(Code.HEART_RATE, times, [70] * len(times)), handle=HANDLES[agent])
    one.agent, one.identity = agent, EnvelopeId((agent, SPOOL), sequence)
    return one


def decide(*some: Opened, reserved: Reservation) -> Admission:
    """Admit *some* into *reserved*."""
    return admit(some, permissions=PERMISSIONS, last=reserved, clock=ClockRules(), now_ms=NOW_MS)


def stored(last: LastReadings, *some: Opened) -> list[int]:
    """Store *some* in a separate flush; return the stored offsets."""
    reserved = last.reserve()
    admission = decide(*some, reserved=reserved)
    reserved.settle()
    return [int(time) - START_MS for time in admission.rows.times_ms]


@pytest.mark.parametrize("newer", [(), (600_000,)], ids=["alone", "behind a newer one"])
@pytest.mark.parametrize("agent", [HOME, WORK])
def test_interval_of_what_was_not_stored_is_free_again(newer: tuple[int, ...], agent: str) -> None:
    """The interval of a block that was not stored is free again, whatever the reason."""
    last = LastReadings()
    if newer:
        assert stored(last, sent(HOME, *newer, sequence=9)) == list(newer)
    failed = sent(HOME, 0, 1000, 2000)
    reserved = last.reserve()
    assert decide(failed, reserved=reserved).verdicts == [None]
    reserved.settle(owners_of([failed]))
    assert stored(last, sent(agent, 500, 1500, 2500, sequence=2)) == [500, 1500, 2500]
    assert stored(last, failed) == []


@pytest.mark.parametrize("newer", [(), (600_000,)], ids=["alone", "behind a newer one"])
def test_another_gateways_block_waits_for_what_is_not_stored_yet(newer: tuple[int, ...]) -> None:
    """
    A block of another gateway waits for a reserved interval; one of the same gateway is refused at
    once.
    """
    last = LastReadings()
    if newer:
        assert stored(last, sent(HOME, *newer, sequence=9)) == list(newer)
    reserved, other = last.reserve(), last.reserve()
    assert decide(sent(HOME, 0, 1000), reserved=reserved).verdicts == [None]
    mine, theirs = sent(HOME, 1500, sequence=2), sent(WORK, 1500)
    admission = decide(mine, theirs, reserved=other)
    assert admission.verdicts == [REFUSED, REFUSED]
    assert admission.waiting == [1]
    reserved.settle()
    assert decide(theirs, reserved=other).waiting == []
    assert decide(theirs, reserved=other).verdicts == [REFUSED]


def test_of_one_flush_the_later_gateway_waits_for_the_first() -> None:
    """
    Within a flush the later gateway's block waits, because the first may conflict with
    the ledger.
    """
    last = LastReadings()
    some = [sent(HOME, 0), sent(WORK, 400), sent(HOME, 900, sequence=2), sent(WORK, 1000)]
    reserved = last.reserve()
    admission = decide(*some, reserved=reserved)
    assert admission.verdicts == [None, REFUSED, REFUSED, None]
    assert admission.waiting == [1]
    reserved.settle(owners_of(some[:1]))
    assert stored(last, some[1]) == [400]


def test_block_that_also_meets_what_is_stored_does_not_wait() -> None:
    """A block that also meets a stored reading is refused without waiting."""
    last = LastReadings()
    assert stored(last, sent(HOME, 600_000, sequence=9)) == [600_000]
    assert stored(last, sent(HOME, 0)) == [0]
    reserved, other = last.reserve(), last.reserve()
    decide(sent(HOME, 1000, sequence=2), reserved=reserved)
    assert decide(sent(WORK, 500, 1500), reserved=other).waiting == []


def test_what_was_known_before_is_known_again() -> None:
    """
    Two overlapping flushes can be released in either order, and the earlier state is
    restored.
    """
    for order in ([0, 1], [1, 0]):
        last = LastReadings()
        assert stored(last, sent(HOME, 0)) == [0]
        some = [sent(HOME, n * 10_000, sequence=n + 1) for n in (1, 2)]
        reserved = [last.reserve(), last.reserve()]
        for one, flush in zip(some, reserved, strict=True):
            assert decide(one, reserved=flush).verdicts == [None]
        for n in order:
            reserved[n].settle(owners_of([some[n]]))
        assert last.reserved == []
        assert stored(last, sent(WORK, 100)) == []
        assert stored(last, sent(WORK, 10_500, sequence=2)) == [10_500]
        assert stored(last, sent(WORK, 20_500, sequence=3)) == [20_500]


def test_of_a_flush_in_part_stored_the_stored_part_keeps_its_intervals() -> None:
    """If a flush is stored in part, the stored part keeps its intervals."""
    last = LastReadings()
    early, late = sent(HOME, 0), sent(HOME, 5000, sequence=2)
    reserved = last.reserve()
    assert decide(early, late, reserved=reserved).verdicts == [None, None]
    reserved.settle(owners_of([late]))
    assert stored(last, sent(WORK, 500)) == []
    assert stored(last, sent(WORK, 5500, sequence=2)) == [5500]


def test_other_bytes_of_one_identity_are_another_envelope() -> None:
    """A forgery in conflict releases its own intervals, and not those of the genuine envelope."""
    last = LastReadings()
    genuine, forged = sent(HOME, 0), sent(HOME, 5000)
    forged.digest = b"f" * 16
    assert stored(last, genuine) == [0]
    reserved = last.reserve()
    assert decide(forged, reserved=reserved).verdicts == [None]
    reserved.settle(owners_of([forged]))
    assert stored(last, sent(WORK, 100)) == []
    assert stored(last, sent(WORK, 5100, sequence=2)) == [5100]


FLUSHES = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from([HOME, WORK]), st.integers(0, 20)), min_size=1, max_size=3
        ),
        st.integers(0, 7),
        st.booleans(),
    ),
    max_size=8,
)


@given(FLUSHES)
def test_only_what_is_stored_ever_refuses_for_good(
    flushes: list[tuple[list[tuple[str, int]], int, bool]],
) -> None:
    """
    In any sequence of overlapping flushes and failures no interval has two readings, and none is
    lost.
    """
    last, sequence = LastReadings(), 0
    # All readings are late, and so remembered individually; otherwise only the newest is.
    assert stored(last, sent(HOME, 600_000, sequence=0)) == [600_000]
    kept: list[int] = []
    open_: list[tuple[Reservation, list[Opened], list[int], int]] = []

    def settle() -> None:
        reserved, some, times, failing = open_.pop(0)
        lost = [one for n, one in enumerate(some) if failing >> n & 1]
        reserved.settle(owners_of(lost) if lost else None)
        kept.extend(time for n, time in enumerate(times) if not failing >> n & 1)

    for sends, failing, does_overlap in flushes:
        some = []
        for agent, tick in sends:
            sequence += 1
            some.append(sent(agent, tick * 300, sequence=sequence))
        reserved = last.reserve()
        admission = decide(*some, reserved=reserved)
        for n, (verdict, (agent, tick)) in enumerate(zip(admission.verdicts, sends, strict=True)):
            if verdict is REFUSED and n not in admission.waiting:
                held = [o.agent for _, others, _, _ in open_ for o in others] + [
                    a for a, _ in sends
                ]
                bucket = tick * 300 // 1000
                assert bucket in {time // 1000 for time in kept} or agent in held
        admitted = [n for n, verdict in enumerate(admission.verdicts) if verdict is None]
        times = [sends[n][1] * 300 for n in admitted]
        open_.append((reserved, [some[n] for n in admitted], times, failing))
        if not does_overlap:
            while open_:
                settle()
    while open_:
        settle()
    buckets = [time // 1000 for time in kept]
    assert len(set(buckets)) == len(buckets)
    for bucket in range(7):
        sequence += 1
        taken = stored(last, sent(WORK, bucket * 1000 + 50, sequence=sequence))
        assert taken == ([] if bucket in buckets else [bucket * 1000 + 50])


@pytest.mark.parametrize("newer", [(), (600_000,)], ids=["alone", "behind a newer one"])
def test_duplicate_gives_back_no_more_than_it_added(newer: tuple[int, ...]) -> None:
    """
    The readings stored from the first delivery keep their interval when the duplicate's
    reservation is released.
    """
    last = LastReadings()
    if newer:
        assert stored(last, sent(HOME, *newer, sequence=9)) == list(newer)
    first = sent(HOME, 0)
    assert stored(last, first) == [0]
    # The duplicate has one admitted reading more than was stored.
    again = sent(HOME, 0, 1000)
    reserved = last.reserve()
    assert decide(again, reserved=reserved).verdicts == [None]
    reserved.settle(owners_of([again]))
    assert stored(last, sent(WORK, 500)) == []
    assert stored(last, sent(WORK, 1500, sequence=2)) == [1500]


def test_duplicate_keeps_its_interval_only_if_all_of_it_is_known_to_be_stored() -> None:
    """
    `unstored` lists a duplicate if the ledger has another number of observations, or if one of
    its blocks is refused.
    """
    whole, differing = sent(HOME, 0), sent(HOME, 10_000, sequence=2)
    partly, again = sent(HOME, 20_000, sequence=3), sent(HOME, 30_000, sequence=4)
    for one in (partly, again):
        assert one.body is not None
        one.body.blocks.append(pack_block(Code.PULSE_RATE, [START_MS], [70]))
    # This flush contains the last envelope twice and stores it once.
    some = [whole, differing, partly, again, again]
    admission = admit(
        some,
        permissions=knowing_two(interval_ms=1),
        last=LastReadings().reserve(),
        clock=ClockRules(),
        now_ms=NOW_MS,
    )
    plan = make_plan(admission, some)
    assert plan.repeats == {4: 3}
    duplicate = (Outcome.DUPLICATE, None)
    assert unstored(plan, [duplicate] * 3 + [STORED, duplicate], [], {1}) == [1, 2]


def test_what_is_unstored_is_what_was_admitted_and_has_no_rows() -> None:
    """
    Unstored blocks are those that were admitted and have no rows; a duplicate of a stored one
    keeps its interval.
    """
    some = [sent(HOME, n * 1000, sequence=n) for n in range(5)]
    plan = make_plan(decide(*some, reserved=LastReadings().reserve()), some)
    duplicate = (Outcome.DUPLICATE, None)
    fates = [
        STORED,
        duplicate,
        duplicate,
        duplicate,
        (Outcome.QUARANTINED, QuarantineReason.CONFLICT),
    ]
    assert unstored(plan, fates, [3, 4], {2}) == [2, 3, 4]
    assert unstored(plan, [STORED] * 5, [], {2}) == []
    poisoned = make_plan(plan.admission, some, is_poison=True)
    fates = [(Outcome.QUARANTINED, QuarantineReason.POISON)] * 5
    assert unstored(poisoned, fates, [], ()) == [0, 1, 2, 3, 4]


def test_reservation_that_is_empty_costs_and_changes_nothing() -> None:
    """A flush without observations reserves and releases nothing."""
    last = LastReadings()
    reserved = last.reserve()
    assert decide(reserved=reserved).verdicts == []
    reserved.settle(np.zeros(0, dtype=np.int64))
    assert last.reserved == []
