"""One sensor for several purposes: each gets its own view, as if it were the only one."""

import hypothesis.strategies as st
from hypothesis import given

from edge_agent.pipeline.batch_queue import BatchLimits
from edge_agent.values.measurement import Verdict
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, SENSOR, grant, lease
from tests.support.benches.pipeline import START_MS, Bench
from wire.policy import Aggregate, Rule
from wire.refusals import Refusal

SECOND = Rule(1)
MINUTE = Rule(1, 5, 60_000, 60_000, Aggregate.MEAN)

rules = st.builds(
    lambda step, count, time_step, aggregate: Rule(
        1, step, count * time_step, time_step, aggregate
    ),
    st.sampled_from([1, 2, 3, 5]),
    st.integers(1, 7),
    st.sampled_from([1, 10, 25]),
    st.sampled_from(list(Aggregate)),
)
histories = st.lists(st.tuples(st.integers(20, 250), st.integers(0, 30)), max_size=60)


def of(bench: Bench, handle: bytes) -> list[tuple[int, int]]:
    """Return time and value of all observations of one purpose."""
    return [(at_ms, value) for whose, _, at_ms, value in bench.out() if whose == handle]


def measure(bench: Bench, history: list[tuple[int, int]]) -> None:
    """Measure *history* with one sensor, to the end of its last interval."""
    bench.clock.pass_s(60.0)
    at_ms = START_MS
    for value, step_ms in history:
        at_ms += step_ms
        bench.say(float(value), at_ms=at_ms)
    bench.take_all()


def test_each_purpose_has_its_own_view() -> None:
    """The same minute is emitted unchanged for one purpose, and as a mean for the other."""
    bench = Bench(lease(grant(rules=[SECOND]), grant(OTHER_HANDLE, rules=[MINUTE])))
    measure(bench, [(70, 0), (74, 20_000), (77, 20_000)])

    assert of(bench, HANDLE) == [(START_MS, 70), (START_MS + 20_000, 74), (START_MS + 40_000, 77)]
    assert of(bench, OTHER_HANDLE) == [(START_MS, 75)]


def test_quantity_of_one_purpose_is_not_sent_for_another() -> None:
    """
    A quantity that only one purpose needs is emitted only under its handle, and counts
    as kept.
    """
    bench = Bench(lease(grant(rules=[SECOND, Rule(5)]), grant(OTHER_HANDLE, rules=[MINUTE])))
    assert bench.say(97.0, quantity=5) is Verdict.PENDING
    assert bench.say(97.0, quantity=6) is Refusal.NOT_ALLOWED
    bench.take_all()
    assert [(handle, quantity) for handle, quantity, _, _ in bench.out()] == [(HANDLE, 5)]
    assert bench.outcomes == {Verdict.PENDING: 1, Refusal.NOT_ALLOWED: 1}


def test_withdrawing_one_purpose_leaves_the_other() -> None:
    """
    After a withdrawal its waiting observations are dropped; the other purpose continues in its
    interval.
    """
    bench = Bench(lease(grant(rules=[SECOND]), grant(OTHER_HANDLE, rules=[MINUTE])))
    bench.say(70.0)
    dropped = bench.adopt(lease(grant(OTHER_HANDLE, rules=[MINUTE]), version=2))
    bench.clock.pass_s(1)
    bench.say(80.0)
    bench.take_all()

    assert dropped == 1
    assert of(bench, HANDLE) == []
    assert of(bench, OTHER_HANDLE) == [(START_MS, 75)]


@given(histories, rules, rules)
def test_no_purpose_sees_that_there_is_another(
    history: list[tuple[int, int]], one: Rule, other: Rule
) -> None:
    """
    The observations of a purpose conform to its rule, and equal those without the other
    purpose.
    """
    both = Bench(lease(grant(rules=[one]), grant(OTHER_HANDLE, rules=[other])))
    measure(both, history)

    for handle, rule in ((HANDLE, one), (OTHER_HANDLE, other)):
        alone = Bench(lease(grant(handle, rules=[rule])))
        measure(alone, history)
        sent = of(both, handle)
        assert rule.conforms([t for t, _ in sent], [v for _, v in sent])
        assert sent == of(alone, handle)
    assert both.outcomes[Verdict.PENDING] == len(both.out())


def test_cursor_waits_for_every_purpose() -> None:
    """The cursor passes a record only when it is durable for each of its purposes."""
    bench = Bench(
        lease(grant(rules=[SECOND]), grant(OTHER_HANDLE, rules=[Rule(1, interval_ms=1000)])),
        BatchLimits(max_observations=3, max_age_s=60.0),
    )
    for number in range(3):
        bench.say(70.0, record=number + 1, at_ms=START_MS + 100 * number)
    bench.save(bench.pipeline.take(now=bench.clock.now()))
    assert (len(of(bench, HANDLE)), bench.cursors) == (3, {})
    bench.begin()
    for number in range(3):
        bench.say(70.0, record=number + 1, at_ms=START_MS + 100 * number)
    bench.take_all()
    assert (len(of(bench, HANDLE)), len(of(bench, OTHER_HANDLE))) == (3, 1)
    assert bench.cursors == {SENSOR: 3}


commands = st.lists(
    st.sampled_from(["say"] * 6 + ["pass", "full", "take", "crash", "stop"]), max_size=40
)


@given(histories, commands, rules, rules)
def test_crashes_neither_lose_nor_double_for_any_purpose(
    history: list[tuple[int, int]], script: list[str], one: Rule, other: Rule
) -> None:
    """However often the process is killed, each purpose has each measured interval once."""
    bench = Bench(
        lease(grant(rules=[one]), grant(OTHER_HANDLE, rules=[other])),
        BatchLimits(max_observations=4, max_age_s=0.02),
    )
    times = [START_MS + sum(step for _, step in history[: n + 1]) for n in range(len(history))]
    bench.clock.pass_s(60.0)
    told = 0
    for command in [*script, *["say"] * 60, "pass", "stop"]:
        if command == "say" and told < len(history):
            bench.say(float(history[told][0]), record=told + 1, at_ms=times[told])
            told += 1
        elif command == "pass":
            bench.clock.pass_s(5.0)
            bench.pipeline.tick(now_ms=bench.clock.now_ms(), now=bench.clock.now())
        elif command == "full":
            bench.save(bench.pipeline.take(now=bench.clock.now()))
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

    for handle, rule in ((HANDLE, one), (OTHER_HANDLE, other)):
        sent = of(bench, handle)
        assert rule.conforms([t for t, _ in sent], [v for _, v in sent])
        assert {rule.interval_of(t) for t, _ in sent} == {rule.interval_of(t) for t in times}
