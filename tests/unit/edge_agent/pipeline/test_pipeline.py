"""From measurements to bodies: nothing is lost, doubled, mixed or finer than allowed."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edge_agent.pipeline.batch_queue import BatchLimits
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.values.measurement import Measurement, Verdict
from tests.fakes.edge_agent import (
    HANDLE,
    HOUR_MS,
    OTHER_HANDLE,
    OTHER_SENSOR,
    SENSOR,
    grant,
    lease,
)
from tests.support.benches.pipeline import LIMITS, START_MS, Bench
from wire.envelope import check_body
from wire.lease import Lease
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME
from wire.refusals import Refusal


def two_subjects(version: int = 1) -> Lease:
    """Return a lease of two sensors of two subjects."""
    return lease(grant(), grant(OTHER_HANDLE, [OTHER_SENSOR]), version=version)


@pytest.mark.parametrize(
    ("measurement", "reason"),
    [
        pytest.param({"sensor": "x"}, Refusal.UNKNOWN_SENSOR, id="sensor"),
        pytest.param({"quantity": 5}, Refusal.NOT_ALLOWED, id="quantity"),
        pytest.param({"value": 19.0}, Refusal.IMPLAUSIBLE, id="too low"),
        pytest.param({"value": 301.0}, Refusal.IMPLAUSIBLE, id="too high"),
        pytest.param({"value": 1e308}, Refusal.IMPLAUSIBLE, id="beyond every range"),
        pytest.param({"value": None}, Refusal.IMPLAUSIBLE, id="neither value nor fault"),
        pytest.param({"at_ms": START_MS + 1001}, Refusal.UNDATED, id="from the future"),
        pytest.param({"at_ms": -1}, Refusal.NO_LEASE, id="before 1970"),
        pytest.param({"at_ms": START_MS - 60_001}, Refusal.NO_LEASE, id="before the lease"),
        pytest.param({"value": None, "fault": Refusal.WARM_UP}, Refusal.WARM_UP, id="warm-up"),
        pytest.param({"value": None, "fault": Refusal.OFF_BODY}, Refusal.OFF_BODY, id="off"),
    ],
)
def test_refused_with_a_reason(measurement: dict[str, object], reason: Refusal) -> None:
    """A measurement that is not kept is refused for exactly one reason."""
    bench = Bench(lease(grant()))
    said = {"value": 70.0, **measurement}
    assert bench.say(**said) is reason  # type: ignore[arg-type]  # a table of keyword arguments
    bench.take_all()
    assert bench.out() == []
    assert bench.pipeline.pending == 0


def test_nothing_is_measured_without_a_lease_in_force() -> None:
    """Without a lease in force every measurement is refused."""
    measurement = Measurement(SENSOR, 1, START_MS, 70)
    assert Pipeline(LIMITS).offer(measurement, now_ms=START_MS, now=0.0) == [Refusal.NO_LEASE]
    bench = Bench(lease(grant()))
    bench.clock.pass_s(HOUR_MS / 1000 - 0.001)
    assert bench.say(70.0) is Verdict.PENDING
    bench.clock.pass_s(0.001)
    assert bench.say(70.0) is Refusal.NO_LEASE
    assert bench.say(70.0, at_ms=START_MS) is Refusal.NO_LEASE


def test_record_that_came_after_the_end_of_a_lease_comes_again() -> None:
    """A stored record from the time of a lease is kept under the next lease."""
    ended = lease(grant())
    bench = Bench(ended)
    bench.clock.pass_s(HOUR_MS / 1000)
    assert bench.say(70.0, record=1, at_ms=START_MS) is Refusal.NO_LEASE
    bench.take_all()
    assert bench.cursors == {}

    bench.adopt(lease(grant(), version=2, issued_at_ms=START_MS + HOUR_MS), ended)
    assert bench.say(70.0, record=1, at_ms=START_MS) is Verdict.PENDING
    assert bench.say(70.0, record=1, at_ms=START_MS) is Refusal.ALREADY_SEEN
    bench.take_all()
    bench.clock.pass_s(60)
    bench.pipeline.tick(now_ms=bench.clock.now_ms(), now=bench.clock.now())
    bench.take_all()
    assert [at_ms for _, _, at_ms, _ in bench.out()] == [START_MS]


def test_batch_is_due_by_count_and_by_age() -> None:
    """A batch is due when it is full, or when its first observation is old."""
    bench = Bench(lease(grant()))
    assert bench.pipeline.due_in_s(now_ms=0, now=0.0) is None
    for i in range(4):
        bench.say(70.0, at_ms=START_MS + i)
    now, now_ms = bench.clock.now(), bench.clock.now_ms()
    assert bench.pipeline.due_in_s(now_ms=now_ms, now=now + 0.25) == pytest.approx(0.75)
    assert bench.pipeline.take(now=now + 0.25).bodies == []
    bench.say(70.0, at_ms=START_MS + 4)
    assert bench.pipeline.due_in_s(now_ms=now_ms, now=now) == 0.0
    assert [len(body) for body in bench.pipeline.take(now=now).bodies] == [5]
    bench.say(70.0, at_ms=START_MS + 5)
    assert [len(body) for body in bench.pipeline.take(now=now + 1.0).bodies] == [1]


def test_handles_never_share_an_envelope() -> None:
    """A body has observations of one subject only, within the limits of the wire."""
    bench = Bench(two_subjects())
    for i in range(17):
        bench.say(70.0, at_ms=START_MS + i)
        bench.say(80.0, at_ms=START_MS + i, sensor=OTHER_SENSOR)
    bench.take_all()
    for body in bench.bodies:
        check_body(body)
        assert {70 if body.handle == HANDLE else 80} == {
            value for block in body.blocks for value in block.unpacked_values()
        }
        assert len(body) <= 5
    assert len(bench.out()) == 34


def test_withdrawn_handle_leaves_memory() -> None:
    """Waiting observations of a handle or quantity that left the lease are dropped and counted."""
    rules = [Rule(1), Rule(5, interval_ms=60_000, aggregate=Aggregate.MEAN)]
    bench = Bench(lease(grant(rules=rules), grant(OTHER_HANDLE, [OTHER_SENSOR])))
    bench.say(70.0)
    bench.say(95.0, quantity=5)
    bench.say(80.0, sensor=OTHER_SENSOR)
    assert bench.pipeline.pending == 3
    assert bench.adopt(lease(grant(rules=[Rule(1)]), version=2)) == 2
    assert [(handle, value) for handle, _, _, value in bench.out()] == [(HANDLE, 70)]
    assert bench.bodies[0].lease == 1
    assert bench.say(80.0, sensor=OTHER_SENSOR) is Refusal.UNKNOWN_SENSOR


def test_rebound_sensor_brings_nothing_along() -> None:
    """
    Records from before a sensor was bound to another person are never stored for that
    person.
    """
    bench = Bench(two_subjects())
    bench.say(70.0, record=1)
    bench.adopt(lease(grant(OTHER_HANDLE, [SENSOR]), version=2))
    assert bench.say(70.0, record=1) is Refusal.ALREADY_SEEN
    bench.begin()
    assert bench.say(70.0, record=1) is Refusal.ALREADY_SEEN
    bench.take_all()
    assert bench.out() == []
    assert bench.say(71.0, record=2) is Verdict.PENDING


def test_late_record_names_the_lease_of_its_time() -> None:
    """A measurement from before a renewal names the lease that was in force then."""
    old = lease(grant(), version=3)
    new = lease(grant(), version=4, issued_at_ms=START_MS + HOUR_MS // 2)
    bench = Bench(old)
    bench.clock.pass_s(HOUR_MS / 1000)
    bench.adopt(new, old)
    bench.say(70.0, at_ms=START_MS + 1000, record=1)
    bench.say(70.0, at_ms=START_MS + HOUR_MS - 1000, record=2)
    bench.take_all()
    assert sorted(body.lease for body in bench.bodies) == [3, 4]


def test_changed_rule_holds_from_the_next_interval_on() -> None:
    """A coarser rule does not observe an interval again that the finer rule has observed."""
    bench = Bench(lease(grant(rules=[Rule(1)])))
    bench.say(70.0, at_ms=START_MS + 500)
    bench.adopt(lease(grant(rules=[Rule(1, interval_ms=1000)]), version=2))
    assert bench.say(70.0, at_ms=START_MS + 900) is Verdict.COARSENED
    assert bench.say(70.0, at_ms=START_MS + 1000) is Verdict.PENDING


def test_cursor_waits_for_an_open_interval() -> None:
    """
    The cursor stays before a record that is only in memory, and other quantities are not
    doubled.
    """
    rules = [Rule(1, 1, 60_000, aggregate=Aggregate.MEAN), Rule(5)]
    bench = Bench(lease(grant(rules=rules)))
    bench.say(95.0, quantity=5, record=1)
    bench.say(70.0, record=2)
    bench.say(96.0, quantity=5, record=3, at_ms=START_MS + 1)
    bench.save(bench.pipeline.take(now=bench.clock.now() + 1))
    assert bench.cursors == {SENSOR: 1}
    bench.begin()
    assert bench.say(70.0, record=2) is Verdict.PENDING
    assert bench.say(96.0, quantity=5, record=3, at_ms=START_MS + 1) is Refusal.ALREADY_SEEN
    assert len(bench.out()) == 2


def test_cursor_waits_for_a_batch_that_is_not_due() -> None:
    """
    The cursor waits for every batch: one subject's flush makes no other subject's record
    durable.
    """
    bench = Bench(two_subjects())
    bench.say(70.0, record=1)
    bench.clock.pass_s(0.9)
    bench.say(80.0, record=1, sensor=OTHER_SENSOR)
    bench.save(bench.pipeline.take(now=bench.clock.now() + 0.2))
    assert bench.cursors == {SENSOR: 1}
    bench.begin()
    assert bench.say(80.0, record=1, sensor=OTHER_SENSOR) is Verdict.PENDING


def test_interval_stays_spent_over_a_crash() -> None:
    """After a crash, a record after the cursor does not take the interval of an earlier one."""
    bench = Bench(lease(grant(rules=[Rule(1, interval_ms=1000)])))
    bench.say(70.0, record=1)
    bench.save(bench.pipeline.take(now=bench.clock.now() + 1))
    bench.begin()
    assert bench.say(71.0, record=2, at_ms=START_MS + 500) is Verdict.COARSENED


records = st.tuples(st.sampled_from([1, 5, 6, 99]), st.integers(0, 400), st.integers(0, 30))
commands = st.lists(st.sampled_from(["say"] * 6 + ["pass", "take", "crash", "stop"]), max_size=60)


@given(st.lists(records, min_size=60, max_size=60), commands, st.sampled_from(list(Aggregate)))
def test_crashes_neither_lose_nor_double(
    history: list[tuple[int, int, int]], script: list[str], aggregate: Aggregate
) -> None:
    """However often the process is killed, each measured interval is observed once."""
    rules = [Rule(1, interval_ms=10), Rule(5, 5, 20, 10, aggregate), Rule(6, 2)]
    bench = Bench(lease(grant(rules=rules)), BatchLimits(max_observations=4, max_age_s=0.02))
    times = []
    at_ms = START_MS
    for _, _, step_ms in history:
        at_ms += step_ms
        times.append(at_ms)
    bench.clock.pass_s((at_ms - START_MS) / 1000)
    told = 0
    for command in [*script, *["say"] * 60, "pass", "stop"]:
        if command == "say" and told < len(history):
            quantity, value, _ = history[told]
            bench.say(value / 1, record=told + 1, quantity=quantity, at_ms=times[told])
            told += 1
        elif command == "pass":
            bench.clock.pass_s(5.0)
            bench.pipeline.tick(now_ms=bench.clock.now_ms(), now=bench.clock.now())
        elif command == "take":
            bench.save(bench.pipeline.take(now=bench.clock.now() + 1))
        elif command == "stop":
            bench.take_all()
        elif command == "crash":
            bench.begin()
            told = bench.cursors.get(SENSOR, 0)
    bench.clock.pass_s(5.0)
    bench.pipeline.tick(now_ms=bench.clock.now_ms(), now=bench.clock.now())
    bench.take_all()
    assert bench.pipeline.pending == 0
    for rule, low, high in ((rules[0], 20, 300), (rules[1], 30, 100), (rules[2], 20, 300)):
        column = [(t, v) for _, q, t, v in bench.out() if q == rule.quantity]
        assert rule.conforms([t for t, _ in column], [v for _, v in column])
        measured = {
            rule.interval_of(t)
            for (q, v, _), t in zip(history, times, strict=True)
            if q == rule.quantity and low <= v <= high
        }
        assert {rule.interval_of(t) for t, _ in column} == measured


@given(st.lists(records, max_size=80))
def test_everything_in_comes_out_somewhere(history: list[tuple[int, int, int]]) -> None:
    """Offered = kept + coarsened + refused, once nothing is pending."""
    rules = [Rule(1, interval_ms=10), Rule(5, 5, 20, 10, Aggregate.MEAN), Rule(6, 2)]
    bench = Bench(lease(grant(rules=rules)))
    bench.clock.pass_s(60.0)
    at_ms = START_MS
    for quantity, value, step_ms in history:
        at_ms += step_ms
        bench.say(value / 1, quantity=quantity, at_ms=at_ms)
        assert bench.outcomes[Verdict.PENDING] == bench.pipeline.pending
    bench.take_all()
    assert bench.outcomes[Verdict.PENDING] == len(bench.out())
    assert bench.pipeline.pending == 0


def test_glucose_is_due_at_once() -> None:
    """Glucose is due at once, because treatment depends on it, and does not wait for a batch."""
    glucose = BY_NAME["glucose_capillary"].code
    bench = Bench(lease(grant(), grant(OTHER_HANDLE, [OTHER_SENSOR], [Rule(glucose)])))
    bench.say(60.0)
    assert bench.due_in_s() == 1.0
    bench.say(5.5, sensor=OTHER_SENSOR, quantity=glucose)
    assert bench.due_in_s() == 0.0
    flush = bench.pipeline.take(now=bench.clock.now())
    assert [body.handle for body in flush.bodies] == [OTHER_HANDLE]


def test_what_is_told_once_is_due_at_once() -> None:
    """A blood pressure that a person took is due at once."""
    systolic, spo2 = (BY_NAME[name].code for name in ("blood_pressure_systolic", "spo2"))
    bench = Bench(lease(grant(rules=[Rule(systolic), Rule(spo2)])))
    bench.say(97.0, quantity=spo2)
    assert bench.due_in_s() == 1.0
    for quantity, value in ((systolic, 120.0), (spo2, 98.0)):
        bench.clock.pass_s(0.01)
        bench.say(value, quantity=quantity, is_single=True)
        bench.clock.pass_s(0.01)
        bench.say(value, quantity=quantity)
        assert bench.due_in_s() == 0.0
        assert bench.pipeline.take(now=bench.clock.now()).bodies
        assert bench.due_in_s() is None


def test_batches_share_a_commit() -> None:
    """When one batch is due, those of half its age are written along, and younger ones are not."""
    bench = Bench(lease(grant(), grant(OTHER_HANDLE, [OTHER_SENSOR])))
    bench.say(60.0)
    bench.clock.pass_s(0.5)
    bench.say(60.0, sensor=OTHER_SENSOR)
    bench.clock.pass_s(0.5)
    assert len(bench.pipeline.take(now=bench.clock.now()).bodies) == 2
    bench.say(60.0)
    bench.clock.pass_s(0.6)
    bench.say(60.0, sensor=OTHER_SENSOR)
    bench.clock.pass_s(0.4)
    assert len(bench.pipeline.take(now=bench.clock.now()).bodies) == 1


def test_worth_is_not_mixed() -> None:
    """
    Heart rate and glucose of one person are in different envelopes, because their priorities
    differ.
    """
    glucose = BY_NAME["glucose_capillary"].code
    bench = Bench(lease(grant(rules=[Rule(1), Rule(glucose)])))
    bench.say(60.0)
    bench.say(5.5, quantity=glucose)
    flush = bench.pipeline.take(now=bench.clock.now())
    assert [[block.quantity for block in body.blocks] for body in flush.bodies] == [[1], [glucose]]
