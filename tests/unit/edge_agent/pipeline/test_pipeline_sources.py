"""Sources are in no order: meters beside each other, newest first, behind, shared, sent again."""

import random
from typing import Any

import pytest

from edge_agent.pipeline.batch_queue import BatchLimits
from edge_agent.pipeline.pipeline import Pipeline, marks_of
from edge_agent.pipeline.taken import SLOTS
from edge_agent.values.checkpoint import Checkpoint, cursor_of, spent_of
from edge_agent.values.measurement import Measurement, Outcome, Verdict
from tests.fakes.edge_agent import (
    HANDLE,
    HOUR_MS,
    OTHER_HANDLE,
    OTHER_SENSOR,
    SENSOR,
    grant,
    lease,
)
from wire.envelope import check_body
from wire.lease import Lease
from wire.policy import Aggregate, Rule
from wire.quantities import Code
from wire.refusals import Refusal

NOW_MS = 1_767_225_600_000
LIMITS = BatchLimits(max_observations=50, max_age_s=1.0)
RULES = [
    pytest.param(Rule(4), id="as it is"),
    pytest.param(Rule(4, 1, 60_000, 60_000), id="the minute's first"),
    pytest.param(Rule(4, 1, 60_000, 1000, Aggregate.MEAN), id="the minute's mean"),
]
LONG: dict[str, Any] = {"issued_at_ms": NOW_MS - 100 * HOUR_MS, "for_ms": 101 * HOUR_MS}
HOME, WORK = [-5, -3, -1], [-50, -26, -8, -4]


class Gateway:
    """A pipeline, with the marks that survive its restarts, and the times that were stored."""

    def __init__(self, held: Lease) -> None:
        self._held = held
        self._marks: dict[Checkpoint, int] = {}
        self.stored: list[tuple[bytes, int, int]] = []
        self.start()

    def start(self) -> None:
        """Begin a process."""
        self._pipeline = Pipeline(LIMITS)
        known = {mark: self._marks[mark] for mark in marks_of(self._held) if mark in self._marks}
        self._pipeline.adopt(self._held, [], known, now=0.0)

    def take(self, *measurements: Measurement) -> list[Outcome]:
        """Offer *measurements* one after the other, and store what is due."""
        found = [
            outcome
            for measurement in measurements
            for outcome in self._pipeline.offer(measurement, now_ms=NOW_MS, now=0.0)
        ]
        self._pipeline.tick(now_ms=NOW_MS + 5000, now=5.0)
        flush = self._pipeline.take(now=5.0)
        for body in flush.bodies:
            check_body(body)
            self.stored += [
                (body.handle, b.quantity, ms) for b in body.blocks for ms in b.times_ms()
            ]
        # A mark on disk never goes back.
        self._marks |= {m: max(n, self._marks.get(m, n)) for m, n in flush.marks.items()}
        return found


def held(*, rules: list[Rule]) -> Lease:
    """Return a lease that has been in force for long."""
    return lease(
        grant(HANDLE, [SENSOR], rules=rules),
        grant(OTHER_HANDLE, [OTHER_SENSOR], rules=rules),
        **LONG,
    )


def records(sensor: str, hours: list[int], *, first: int = 1) -> list[Measurement]:
    """Return stored records of *sensor*, numbered in this order."""
    return [
        Measurement(sensor, 4, NOW_MS + hour * HOUR_MS, 600 + n, record=first + n)
        for n, hour in enumerate(hours)
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("is_one_handle", [True, False], ids=["a lease of before", "each its own"])
def test_a_second_meter_is_not_late(rule: Rule, is_one_handle: bool) -> None:
    """What a meter has stored is kept, also when another one has told newer values."""
    one = lease(grant(HANDLE, [SENSOR, OTHER_SENSOR], rules=[rule]), **LONG)
    gateway = Gateway(one if is_one_handle else held(rules=[rule]))

    outcomes = gateway.take(*records(SENSOR, HOME))
    gateway.start()
    outcomes += gateway.take(*records(OTHER_SENSOR, WORK))

    assert outcomes == [Verdict.PENDING] * 7
    assert len(gateway.stored) == len(set(gateway.stored)) == 7


@pytest.mark.parametrize("rule", RULES)
def test_an_overlap_of_two_sensors_is_kept_of_both(rule: Rule) -> None:
    """At a change-over both measure in the same minutes, and each has intervals of its own."""
    gateway = Gateway(held(rules=[rule]))

    outcomes = gateway.take(*records(SENSOR, [-4, -3, -2]), *records(OTHER_SENSOR, [-3, -2, -1]))

    assert outcomes == [Verdict.PENDING] * 6
    assert len(set(gateway.stored)) == 6


@pytest.mark.parametrize("rule", RULES)
def test_records_whose_times_go_back_are_kept(rule: Rule) -> None:
    """A meter whose clock was set back numbers on; a shuffled memory is stored as a whole."""
    hours = list(range(-90, 0))
    random.Random(7).shuffle(hours)
    gateway = Gateway(held(rules=[rule]))

    for number, hour in enumerate(hours, 1):
        gateway.take(*records(SENSOR, [hour], first=number))
        if number % 20 == 0:
            gateway.start()

    assert len(gateway.stored) == len(set(gateway.stored)) == 90
    assert gateway.take(*records(SENSOR, hours)) == [Refusal.ALREADY_SEEN] * 90


def pressures(
    hours: list[int], *, jitter_ms: int = 0, user: int | None = None, sensor: str = SENSOR
) -> list[Measurement]:
    """Return what a cuff sends from its memory, dated by its clock as it was read this time."""
    return [
        Measurement(
            sensor, code, NOW_MS + hour * HOUR_MS + jitter_ms, 1200, is_single=True, user=user,
            stamp_s=1_000_000 + hour * 3600,
        )
        for hour in hours
        for code in (Code.BLOOD_PRESSURE_SYSTOLIC, Code.BLOOD_PRESSURE_DIASTOLIC)
    ]  # fmt: skip


CUFF = [
    pytest.param(Aggregate.FIRST, 1, id="as it is"),
    pytest.param(Aggregate.FIRST, 60_000, id="the minute's first"),
    pytest.param(Aggregate.MEAN, 60_000, id="the minute's mean"),
]


def cuff(aggregate: Aggregate, interval_ms: int, bindings: list[str] | None = None) -> Lease:
    """Return a lease of a cuff."""
    codes = Code.BLOOD_PRESSURE_SYSTOLIC, Code.BLOOD_PRESSURE_DIASTOLIC
    rules = [Rule(code, 1, interval_ms, 1, aggregate) for code in codes]
    return lease(grant(HANDLE, bindings or [SENSOR], rules=rules), **LONG)


@pytest.mark.parametrize(("aggregate", "interval_ms"), CUFF)
def test_a_cuff_may_tell_the_newest_first(aggregate: Aggregate, interval_ms: int) -> None:
    """Everything in its memory is stored, and once, however often and in parts it is sent."""
    gateway = Gateway(cuff(aggregate, interval_ms))

    assert gateway.take(*pressures([-1, -9, -25, -33])) == [Verdict.PENDING] * 8
    assert gateway.take(*pressures([-1, -9], jitter_ms=700)) == [Refusal.ALREADY_SEEN] * 4
    gateway.start()
    again = gateway.take(*pressures([-1, -9, -25, -33, -41], jitter_ms=-900))

    assert again == [Refusal.ALREADY_SEEN] * 8 + [Verdict.PENDING] * 2
    assert len(gateway.stored) == len(set(gateway.stored)) == 10


def test_a_long_memory_is_not_stored_twice() -> None:
    """What is older than all that outlives a restart counts as taken; what is newer does not."""
    gateway = Gateway(cuff(Aggregate.FIRST, 1))
    gateway.take(*pressures(list(range(-1, -61, -1))))
    assert len(set(gateway.stored)) == 120

    gateway.start()
    outcomes = gateway.take(*pressures(list(range(0, -61, -1)), jitter_ms=300))

    assert outcomes == [Verdict.PENDING] * 2 + [Refusal.ALREADY_SEEN] * 120
    assert SLOTS < 60


def test_a_single_without_a_time_is_asked_for_again() -> None:
    """What could not be dated was not taken: with a time it is stored."""
    gateway = Gateway(cuff(Aggregate.FIRST, 1))
    ahead = pressures([-1])
    late = [Measurement(m.sensor, m.quantity, NOW_MS + HOUR_MS // 2, 1200, None, None, True, None,
                        m.stamp_s) for m in ahead]  # fmt: skip

    assert gateway.take(*late) == [Refusal.UNDATED] * 2
    assert gateway.take(*ahead) == [Verdict.PENDING] * 2


@pytest.mark.parametrize(
    ("bindings", "user", "is_kept"),
    [
        pytest.param([SENSOR], None, True, id="a cuff of one person"),
        pytest.param([SENSOR], 1, False, id="no user is bound"),
        pytest.param([SENSOR], 255, False, id="unknown, and none is bound"),
        pytest.param([f"{SENSOR}#1"], 1, True, id="the bound user"),
        pytest.param([f"{SENSOR}#0"], 0, True, id="users may count from 0"),
        pytest.param([f"{SENSOR}#1"], 2, False, id="another user"),
        pytest.param([f"{SENSOR}#1"], 255, False, id="an unknown user"),
        pytest.param([f"{SENSOR}#1"], None, False, id="no user is told"),
    ],
)
def test_only_the_bound_user_is_measured(
    bindings: list[str], user: int | None, is_kept: bool
) -> None:
    """Of a shared sensor only the values of the bound user are kept; all others are refused."""
    gateway = Gateway(cuff(Aggregate.FIRST, 1, bindings))

    outcomes = gateway.take(*pressures([-1], user=user))

    assert outcomes == [Verdict.PENDING if is_kept else Refusal.UNBOUND_USER] * 2
    assert len(gateway.stored) == (2 if is_kept else 0)


def test_two_users_of_a_cuff_are_two_people() -> None:
    """Each bound user's values are under the handle of that person."""
    rules = [Rule(Code.BLOOD_PRESSURE_SYSTOLIC)]
    shared = lease(
        grant(HANDLE, [f"{SENSOR}#1"], rules=rules),
        grant(OTHER_HANDLE, [f"{SENSOR}#2"], rules=rules),
        **LONG,
    )
    gateway = Gateway(shared)

    gateway.take(*pressures([-2], user=1)[:1], *pressures([-1], user=2)[:1])

    assert [handle for handle, _, _ in gateway.stored] == [HANDLE, OTHER_HANDLE]


def test_what_is_not_bound_any_more_is_sent_and_not_measured() -> None:
    """A grant without a sensor keeps what was measured, and listens to nothing."""
    rules = [Rule(4)]
    gateway = Pipeline(LIMITS)
    before = lease(grant(HANDLE, [SENSOR], rules=rules), **LONG)
    gateway.adopt(before, [], {}, now=0.0)
    gateway.offer(Measurement(SENSOR, 4, NOW_MS, 600), now_ms=NOW_MS, now=0.0)

    after = lease(grant(HANDLE, [], rules=rules), version=2, **LONG)
    adopted = gateway.adopt(after, [before], {}, now=0.0)

    assert adopted.dropped == 0
    assert [len(body) for body in adopted.flush.bodies] == [1]
    outcomes = gateway.offer(Measurement(SENSOR, 4, NOW_MS + 1, 600), now_ms=NOW_MS + 1, now=0.0)
    assert outcomes == [Refusal.UNKNOWN_SENSOR]


@pytest.mark.parametrize("aggregate", [Aggregate.FIRST, Aggregate.MEAN])
def test_a_doubtful_time_is_marked_to_the_end(aggregate: Aggregate) -> None:
    """What was made from a measurement of doubtful time is marked, and nothing else is."""
    gateway = Pipeline(LIMITS)
    rule = Rule(4, 1, 60_000, 1, aggregate)
    gateway.adopt(lease(grant(HANDLE, [SENSOR], rules=[rule]), **LONG), [], {}, now=0.0)
    for number, flags in enumerate((0, 1, 0), 1):
        at_ms = NOW_MS - number * HOUR_MS
        measured = Measurement(SENSOR, 4, at_ms, 600, record=number, flags=flags)
        gateway.offer(measured, now_ms=NOW_MS, now=0.0)
    gateway.tick(now_ms=NOW_MS + 5000, now=5.0)

    (body,) = gateway.take(now=5.0).bodies
    assert [block.flags for block in body.blocks] == [b"\x00\x01\x00"]


@pytest.mark.parametrize("time_step_ms", [1000, 60_000, 3_600_000])
@pytest.mark.parametrize("aggregate", [Aggregate.FIRST, Aggregate.MEAN])
def test_a_rounded_time_begins_with_the_lease(time_step_ms: int, aggregate: Aggregate) -> None:
    """The first measurement after a lease is kept, under that lease; one before it is not."""
    began_ms = NOW_MS - 7 * HOUR_MS + 1_217_400
    rule = Rule(4, 1, time_step_ms, time_step_ms, aggregate)
    gateway = Pipeline(LIMITS)
    first = lease(grant(rules=[rule]), version=1, issued_at_ms=began_ms, for_ms=8 * HOUR_MS)
    newest = lease(grant(rules=[rule]), version=2, issued_at_ms=NOW_MS - 1000)
    gateway.adopt(newest, [first], {}, now=0.0)

    outcomes = [
        gateway.offer(Measurement(SENSOR, 4, began_ms + ms, 600, record=n), now_ms=NOW_MS, now=0.0)
        for n, ms in enumerate((-100, 100), 1)
    ]
    gateway.tick(now_ms=NOW_MS + 5000, now=5.0)

    assert outcomes == [[Refusal.NO_LEASE], [Verdict.PENDING]]
    (body,) = gateway.take(now=5.0).bodies
    assert body.lease == 1
    assert [list(block.times_ms()) for block in body.blocks] == [
        [began_ms // time_step_ms * time_step_ms]
    ]


def test_clocks_may_differ_where_times_are_not_rounded() -> None:
    """Ingest holds such a time against the consent itself, and the gateway's clock may be late."""
    gateway = Pipeline(LIMITS)
    gateway.adopt(lease(grant(rules=[Rule(4)]), issued_at_ms=NOW_MS), [], {}, now=0.0)

    measured = Measurement(SENSOR, 4, NOW_MS - 30_000, 600, record=1)
    assert gateway.offer(measured, now_ms=NOW_MS, now=0.0) == [Verdict.PENDING]


def test_what_an_earlier_version_took_is_told_by_its_time() -> None:
    """It saved no number for each handle; a sensor that told nothing before is exempt."""
    rules = [Rule(4, 1, 60_000, 1)]
    both = lease(grant(HANDLE, [SENSOR, OTHER_SENSOR], rules=rules), **LONG)
    gateway = Pipeline(LIMITS)
    saved = {
        cursor_of(SENSOR): 5, spent_of(HANDLE, 4): NOW_MS - 2 * HOUR_MS,
    }  # fmt: skip
    gateway.adopt(both, [], saved, now=0.0)

    def say(sensor: str, hours: int, record: int) -> list[Outcome]:
        measured = Measurement(sensor, 4, NOW_MS - hours * HOUR_MS, 600, record=record)
        return gateway.offer(measured, now_ms=NOW_MS, now=0.0)

    assert say(SENSOR, 3, 6) == [Refusal.LATE]
    assert say(SENSOR, 1, 7) == [Verdict.PENDING]
    assert say(OTHER_SENSOR, 4, 1) == [Verdict.PENDING]
