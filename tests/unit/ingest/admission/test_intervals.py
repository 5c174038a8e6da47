"""The policy's interval, compared with a slow model, in any order of readings."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.admission.admit import Admission, admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings, Reservation
from ingest.admission.permissions import Permissions
from ingest.values.delivery import Opened
from ingest.values.outcome import Reason
from tests.fakes.ingest import NOW_MS, block, knowing, opened, permission
from wire.envelope import Block, pack_block
from wire.policy import Rule
from wire.quantities import MISSING, Code

START_MS = NOW_MS // 60_000 * 60_000 - 3_600_000
SECOND, MINUTE = (1, 1000, 1), (1, 60_000, 1)
OLD, NEW, OTHER = b"1" * 16, b"2" * 16, b"3" * 16
"""Two handles of one series, after a rotation, and one of another series."""

REFUSED = Reason.POLICY_EXCEEDED
_RULE = Rule(int(Code.HEART_RATE))


def decide(*some: Opened, rule: tuple[int, int, int] = SECOND, last: LastReadings) -> Admission:
    """Admit *some* under handles of one rule."""
    return decide_by(knowing_three(rule, rule), *some, last=last)


def decide_by(permissions: Permissions, *some: Opened, last: LastReadings) -> Admission:
    """Admit *some* by *permissions*, and treat the admitted as stored."""
    reserved = last.reserve()
    admission = reserve_by(permissions, *some, reserved=reserved)
    reserved.settle()
    return admission


def reserve_by(permissions: Permissions, *some: Opened, reserved: Reservation) -> Admission:
    """Admit *some* by *permissions*; the admitted are *reserved*, and not stored yet."""
    return admit(some, permissions=permissions, last=reserved, clock=ClockRules(), now_ms=NOW_MS)


def knowing_three(old: tuple[int, int, int], new: tuple[int, int, int]) -> Permissions:
    """
    Return permissions of two handles of one series with different rules, and of a third
    handle.
    """
    return knowing(
        permission(handle=OLD, series_id=7, rule=old),
        permission(handle=NEW, series_id=7, rule=new),
        permission(handle=OTHER, series_id=8, rule=old),
    )


def at(*offsets_ms: int, value: int = 70) -> Block:
    """Return a block with an observation at each offset from the start."""
    values = [value] * len(offsets_ms)
    return pack_block(Code.HEART_RATE, [START_MS + offset for offset in offsets_ms], values)


def stored(admission: Admission) -> list[int]:
    """Return the offsets of the admitted observations."""
    return [int(time) - START_MS for time in admission.rows.times_ms]


@pytest.mark.parametrize("rule", [SECOND, MINUTE, (1, 1000, 1000)], ids=str)
def test_of_many_blocks_at_one_time_one_is_stored(rule: tuple[int, int, int]) -> None:
    """Of many blocks at one time one is stored, and the others are refused by the policy."""
    crowd = [at(0, value=70 + n) for n in range(64)]
    for some in (
        [opened(*crowd, handle=OLD)],
        [opened(b, handle=OLD, sequence=n) for n, b in enumerate(crowd)],
    ):
        admission = decide(*some, rule=rule, last=LastReadings())
        assert stored(admission) == [0]
        assert admission.rows.values.tolist() == [70.0]
        assert np.bincount(admission.blocks.codes).tolist()[REFUSED.code] == 63


@pytest.mark.parametrize("order", list(itertools.permutations([0, 400, 900])), ids=str)
@pytest.mark.parametrize("handles", [(OLD, OLD, OLD), (OLD, NEW, OLD), (NEW, OLD, NEW)])
def test_first_in_time_is_kept_in_whatever_order_they_come(
    order: tuple[int, ...], handles: tuple[bytes, ...]
) -> None:
    """
    The earliest reading of an interval is kept, across blocks, envelopes and handles of one
    series.
    """
    blocks = [at(offset) for offset in order]
    some = [
        opened(b, handle=h, sequence=n)
        for n, (b, h) in enumerate(zip(blocks, handles, strict=True))
    ]
    assert stored(decide(*some, last=LastReadings())) == [0]
    assert stored(decide(opened(*blocks, handle=OLD), last=LastReadings())) == [0]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_tail_may_not_lie_over_a_head(order: list[int]) -> None:
    """
    A block whose last interval is another's first is refused as a whole; the next block
    is not.
    """
    runs = [at(0, 1000, 2000), at(2400, 3400, 4400)]
    some = [opened(runs[n], handle=OLD, sequence=n) for n in order]
    after = opened(at(3000, 4000, 5000), handle=OLD, sequence=9)
    admission = decide(*some, after, last=LastReadings())
    assert stored(admission) == [0, 1000, 2000, 3000, 4000, 5000]
    assert admission.verdicts[order.index(1)] is REFUSED


def test_interleaved_blocks_that_share_no_interval_are_all_stored() -> None:
    """Interleaved blocks without a common interval are all stored."""
    some = [
        opened(at(0, 2000, 4000), handle=OLD),
        opened(at(1000, 3000, 5000), handle=OLD, sequence=2),
        opened(at(0, 500), handle=OTHER, sequence=3),
    ]
    admission = decide(*some, last=LastReadings())
    assert stored(admission) == [0, 1000, 2000, 3000, 4000, 5000]
    assert admission.verdicts == [None, None, REFUSED]


def test_step_may_be_no_finer_where_an_interval_ends() -> None:
    """A regular block is refused for two readings in one interval, and not for its step alone."""
    assert stored(decide(opened(at(500, 1499), handle=OLD), last=LastReadings())) == [500, 1499]
    fine = opened(at(0, 999), handle=OLD, sequence=2)
    assert decide(fine, last=LastReadings()).verdicts == [REFUSED]


def test_what_is_missing_takes_no_interval() -> None:
    """A gap at the end of a block does not refuse another source's reading there."""
    gap = pack_block(Code.HEART_RATE, [START_MS, START_MS + 1000], [70, MISSING])
    last = LastReadings()
    both = decide(opened(gap, handle=OLD), opened(at(1500), handle=OLD, sequence=2), last=last)
    assert stored(both) == [0, 1500]
    last = LastReadings()
    assert stored(decide(opened(gap, handle=OLD), last=last)) == [0]
    assert stored(decide(opened(at(900), handle=OLD, sequence=3), last=last)) == []
    assert stored(decide(opened(at(1500), handle=OLD, sequence=2), last=last)) == [1500]


def test_refused_block_takes_no_interval() -> None:
    """A refused block occupies no interval."""
    implausible = opened(at(0, value=10), handle=OLD)
    admission = decide(implausible, opened(at(100), handle=OLD, sequence=2), last=LastReadings())
    assert stored(admission) == [100]
    chain = [at(0, 1000), at(1100, 2000), at(2100, 3000)]
    some = [opened(b, handle=OLD, sequence=n) for n, b in enumerate(chain)]
    assert stored(decide(*some, last=LastReadings())) == [0, 1000, 2100, 3000]


@pytest.mark.parametrize("newer", [(), (600_000,)], ids=["alone", "behind a newer one"])
@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), [5, 1, 9, 0, 3, 8, 2, 7, 4, 6]])
def test_backfill_in_flushes_of_its_own_is_held_to_the_interval(
    newer: tuple[int, ...], order: list[int]
) -> None:
    """Of ten readings 100 ms apart, each in its own flush, the one that came first is stored."""
    last = LastReadings()
    if newer:
        assert stored(decide(opened(at(*newer), handle=OLD), last=last)) == list(newer)
    kept = []
    for n in order:
        # A newer reading in between does not change that.
        decide(opened(at(700_000 + 1000 * n), handle=OLD, sequence=100 + n), last=LastReadings())
        kept += stored(decide(opened(at(100 * n), handle=OLD, sequence=n), last=last))
    assert kept == [100 * order[0]]


def test_coarser_policy_of_two_handles_holds_between_them() -> None:
    """
    A reading under a rule of a minute refuses one of a second in the same minute, for two handles
    of a series.
    """
    permissions = knowing_three(SECOND, MINUTE)
    by_second = [opened(at(n * 1000), handle=OLD, sequence=n) for n in range(3)]
    by_minute = opened(at(30_000), handle=NEW, sequence=9)
    together = decide_by(permissions, by_minute, *by_second, last=LastReadings())
    assert stored(together) == [0, 1000, 2000]
    after = [opened(at(40_000, 59_000), handle=OLD, sequence=n) for n in (1, 2)]
    assert stored(decide_by(permissions, *after[1:], by_minute, last=LastReadings())) == [30_000]
    assert stored(decide_by(permissions, *after, by_minute, last=LastReadings())) == [30_000]
    last = LastReadings()
    assert stored(decide_by(permissions, by_minute, last=last)) == [30_000]
    assert stored(decide_by(permissions, *by_second, last=last)) == []
    later = opened(at(40_000), handle=OLD, sequence=10)
    assert stored(decide_by(permissions, later, last=last)) == []
    assert stored(decide_by(permissions, opened(at(60_000), handle=OLD), last=last)) == [60_000]


def test_envelope_that_comes_again_does_not_meet_itself() -> None:
    """
    An envelope that is admitted again, for instance after a lost connection, gets the
    same result.
    """
    last = LastReadings()
    some = [opened(at(n * 1000, n * 1000 + 600_000), handle=OLD, sequence=n) for n in range(3)]
    first = decide(*some, last=last)
    for again in (some, some[::-1], some[:1], some[1:]):
        admission = decide(*again, last=last)
        assert admission.verdicts == [None] * len(again)
    assert stored(decide(*some, last=last)) == stored(first)
    forged = opened(at(0, 600_000), handle=OLD, sequence=99)
    assert decide(forged, last=last).verdicts == [REFUSED]


def test_another_reading_of_the_same_time_is_refused_in_a_later_flush() -> None:
    """Another reading with the same time is refused in a later flush."""
    last = LastReadings()
    assert stored(decide(opened(at(0), handle=OLD), last=last)) == [0]
    assert stored(decide(opened(at(0, value=71), handle=OLD, sequence=2), last=last)) == []


def test_half_of_a_flush_decided_again_is_decided_as_the_whole() -> None:
    """If half of a flush is admitted again, the result equals that of the whole flush."""
    last = LastReadings()
    some = [opened(at(0, 5000), handle=OLD), opened(at(400), handle=OLD, sequence=2)]
    assert decide(*some, last=last).verdicts == [None, REFUSED]
    assert decide(*some[1:], last=last).verdicts == [REFUSED]


OFFSETS = st.lists(
    st.sampled_from([0, 1, 300, 999, 1000, 1500, 2000, 2500, 3100, 60_000]),
    min_size=1,
    max_size=4,
    unique=True,
)
BLOCKS = st.tuples(st.sampled_from([OLD, NEW, OTHER]), OFFSETS, st.booleans(), st.booleans())
RULES = st.sampled_from([(1, 1, 1), SECOND, (1, 1500, 1), (1, 3000, 1), MINUTE])


def model(some: list[Opened], rules: dict[bytes, tuple[int, int, int]]) -> list[set[int]]:
    """Return the kept times of each single-block envelope, one block after the other."""
    kept: dict[bytes, list[tuple[int, int]]] = {}
    result: list[set[int]] = [set() for _ in some]
    bodies = [one.body for one in some if one.body is not None]
    order = sorted(range(len(some)), key=lambda n: (min(bodies[n].blocks[0].times_ms()), n))
    for n in order:
        body = bodies[n]
        one, interval = body.blocks[0], rules[body.handle][1]
        if not msgspec.structs.replace(_RULE, interval_ms=interval).conforms(
            one.times_ms(), one.unpacked_values()
        ):
            continue
        times = [
            t for t, v in zip(one.times_ms(), one.unpacked_values(), strict=True) if v != MISSING
        ]
        others = kept.setdefault(OTHER if body.handle == OTHER else OLD, [])
        if any(
            (other // wide == time // wide)
            for time in times
            for other, theirs in others
            for wide in {interval, theirs} - {1}
        ):
            continue
        others += [(time, interval) for time in times]
        result[n] = set(times)
    return result


@given(st.lists(BLOCKS, max_size=8), RULES, RULES)
@example([(OLD, [0], False, False), (NEW, [300], False, False)], SECOND, MINUTE)
def test_a_flush_is_decided_as_by_a_slow_model(
    drawn: list[tuple[bytes, list[int], bool, bool]],
    old: tuple[int, int, int],
    new: tuple[int, int, int],
) -> None:
    """
    A flush is decided like by a slow model in plain Python that compares every pair of
    observations.
    """
    some = []
    for n, (handle, offsets, is_sorted, has_gap) in enumerate(drawn):
        times = (
            sorted(offsets)
            if is_sorted
            else [min(offsets), *(o for o in offsets if o != min(offsets))]
        )
        values = [MISSING if has_gap and i == len(times) - 1 else 70 for i in range(len(times))]
        run = pack_block(Code.HEART_RATE, [START_MS + t for t in times], values)
        some.append(opened(run, handle=handle, sequence=n))
    admission = decide_by(knowing_three(old, new), *some, last=LastReadings())
    expected = model(some, {OLD: old, NEW: new, OTHER: old})
    found: list[set[int]] = [set() for _ in some]
    for envelope, time in zip(admission.rows.envelopes, admission.rows.times_ms, strict=True):
        found[envelope].add(int(time))
    assert found == expected
    rows = list(zip(admission.rows.series.tolist(), admission.rows.times_ms.tolist(), strict=True))
    assert rows == sorted(rows)


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([OLD, NEW])), max_size=12))
def test_late_readings_in_flushes_of_their_own_keep_the_interval(
    sent: list[tuple[int, bytes]],
) -> None:
    """
    Late readings in any order keep at most one reading in each interval, and none is
    left without.
    """
    last, kept = LastReadings(), []
    decide(opened(at(600_000), handle=OLD, sequence=99), last=last)
    for n, (tick, handle) in enumerate(sent):
        kept += stored(decide(opened(at(tick * 300), handle=handle, sequence=n), last=last))
    assert len({t // 1000 for t in kept}) == len(kept)
    assert {t // 1000 for t in kept} == {tick * 300 // 1000 for tick, _ in sent}


def test_hostile_sender_of_overlaps_takes_no_time_of_others() -> None:
    """Overlapping blocks of a hostile sender cost no more time for other blocks."""
    blocks = [at(*range(n, 60_000, 1000)) for n in range(64)]
    some = [opened(b, handle=OLD, sequence=n) for n, b in enumerate(blocks)]
    admission = decide(*some, opened(block(70), handle=OTHER, sequence=99), last=LastReadings())
    assert admission.verdicts.count(None) == 2
