"""Minimisation: which observations may leave the gateway."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edge_agent.pipeline.minimise import GRACE_MS, MinimisedObservation, Minimiser, coarsen
from edge_agent.values.measurement import Measurement, Verdict
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME, QUANTITIES, Quantity
from wire.refusals import Refusal

HEART_RATE = BY_NAME["heart_rate"]
MINUTE_MS = 60_000

rules = st.builds(
    lambda code, step, time_step, factor, aggregate: Rule(
        code, step, time_step * factor, time_step, aggregate
    ),
    st.sampled_from(sorted(QUANTITIES)),
    st.integers(1, 60),
    st.sampled_from([1, 7, 1000, 60_000]),
    st.integers(1, 20),
    st.sampled_from(list(Aggregate)),
)


def offer(
    minimiser: Minimiser, at_ms: int, steps: int, *, now_ms: int | None = None, record: int = 1
) -> tuple[object, MinimisedObservation | None]:
    """Offer a live measurement."""
    measurement = Measurement("s", HEART_RATE.code, at_ms, record=record)
    return minimiser.offer(measurement, steps, now_ms=at_ms if now_ms is None else now_ms)


@given(rules, st.data())
def test_output_always_conforms(rule: Rule, data: st.DataObject) -> None:
    """For every measurement the output conforms to the rule and is plausible."""
    quantity = QUANTITIES[rule.quantity]
    minimiser = Minimiser(rule, quantity)
    now_ms = 1_000_000
    out: list[MinimisedObservation] = []
    counts = {Verdict.PENDING: 0, Verdict.COARSENED: 0}
    refused = 0
    for _ in range(data.draw(st.integers(0, 30))):
        now_ms += data.draw(st.integers(0, 3 * rule.interval_ms))
        at_ms = now_ms - data.draw(st.integers(0, rule.interval_ms))
        steps = data.draw(st.integers(quantity.low, quantity.high))
        outcome, complete = offer(minimiser, at_ms, steps, now_ms=now_ms)
        if isinstance(outcome, Verdict):
            counts[outcome] += 1
        else:
            refused += 1
        out += [] if complete is None else [complete]
        out += iter(lambda now_ms=now_ms: minimiser.end(now_ms=now_ms), None)  # type: ignore[misc]
    out += iter(minimiser.close, None)
    times, values = [o.time_ms for o in out], [o.value for o in out]
    assert rule.conforms(times, values)
    assert not refused
    assert all(quantity.is_plausible(value) for value in values)
    assert counts[Verdict.PENDING] == len(out)


@given(rules, st.data())
def test_coarsen_stays_plausible_or_gives_up(rule: Rule, data: st.DataObject) -> None:
    """Coarsening a plausible value gives a plausible value, or none."""
    quantity = QUANTITIES[rule.quantity]
    value = coarsen(rule, quantity, data.draw(st.integers(quantity.low, quantity.high)))
    if value is None:
        assert not any(v % rule.step == 0 for v in range(quantity.low, quantity.high + 1))
    else:
        assert quantity.is_plausible(value)
        assert value % rule.step == 0


@pytest.mark.parametrize(
    ("step", "steps", "expected"),
    [
        pytest.param(7, 300, 294, id="the greatest, not rounded up out of the range"),
        pytest.param(7, 20, 21, id="the least, up into the range"),
        pytest.param(7, 70, 70, id="a multiple"),
        pytest.param(6, 69, 72, id="a tie goes up"),
    ],
)
def test_coarsen_golden(step: int, steps: int, expected: int) -> None:
    """Hand-written examples for a heart rate."""
    assert coarsen(Rule(1, step), HEART_RATE, steps) == expected


def test_first_is_emitted_at_once() -> None:
    """With `first`, the first value of an interval is emitted at once."""
    minimiser = Minimiser(Rule(1, interval_ms=MINUTE_MS), HEART_RATE)

    assert offer(minimiser, 61_000, 70) == (Verdict.PENDING, MinimisedObservation(61_000, 70))
    assert offer(minimiser, 119_999, 90) == (Verdict.COARSENED, None)
    assert offer(minimiser, 120_000, 80) == (Verdict.PENDING, MinimisedObservation(120_000, 80))
    assert offer(minimiser, 59_000, 80) == (Verdict.PENDING, MinimisedObservation(59_000, 80))
    assert offer(minimiser, 58_000, 81) == (Verdict.COARSENED, None)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        pytest.param(Aggregate.LAST, MinimisedObservation(90_000, 75), id="last"),
        pytest.param(Aggregate.MEAN, MinimisedObservation(60_000, 72), id="mean, a half going up"),
        pytest.param(Aggregate.MIN, MinimisedObservation(60_000, 68), id="min"),
        pytest.param(Aggregate.MAX, MinimisedObservation(60_000, 75), id="max"),
    ],
)
def test_aggregate_golden(aggregate: Aggregate, expected: MinimisedObservation) -> None:
    """With an aggregate, one value is emitted at the end of an interval."""
    minimiser = Minimiser(Rule(1, 1, MINUTE_MS, 30_000, aggregate), HEART_RATE)
    assert offer(minimiser, 65_000, 71) == (Verdict.PENDING, None)
    assert offer(minimiser, 70_000, 68) == (Verdict.COARSENED, None)
    assert offer(minimiser, 118_000, 75) == (Verdict.COARSENED, None)
    assert offer(minimiser, 80_000, 72) == (Verdict.COARSENED, None)

    assert minimiser.end(now_ms=119_999) is None
    assert minimiser.end(now_ms=120_000) == expected
    assert not minimiser.is_open


def test_interval_waits_for_a_burst() -> None:
    """An interval in the past stays open while its records still come."""
    minimiser = Minimiser(Rule(1, 1, MINUTE_MS, aggregate=Aggregate.MEAN), HEART_RATE)
    offer(minimiser, 61_000, 70, now_ms=900_000)

    assert minimiser.end(now_ms=900_000 + GRACE_MS - 1) is None
    assert minimiser.end(now_ms=900_000 + GRACE_MS) == MinimisedObservation(61_000, 70)


def test_next_interval_completes_the_one_before() -> None:
    """A later measurement closes an interval; one of an earlier interval opens that."""
    minimiser = Minimiser(Rule(1, 1, MINUTE_MS, aggregate=Aggregate.MAX), HEART_RATE)
    offer(minimiser, 61_000, 70)

    assert offer(minimiser, 181_000, 80) == (Verdict.PENDING, MinimisedObservation(61_000, 70))
    assert offer(minimiser, 130_000, 80) == (Verdict.PENDING, None)
    assert offer(minimiser, 131_000, 90) == (Verdict.COARSENED, None)
    assert [minimiser.close(), minimiser.close(), minimiser.close()] == [
        MinimisedObservation(181_000, 80), MinimisedObservation(130_000, 90), None,
    ]  # fmt: skip


@pytest.mark.parametrize("aggregate", list(Aggregate))
@given(st.lists(st.integers(0, 40 * MINUTE_MS), unique=True, min_size=1, max_size=40))
def test_each_interval_is_observed_once_in_any_order(
    aggregate: Aggregate, times_ms: list[int]
) -> None:
    """A sensor may tell its memory in any order: each interval gets one observation."""
    rule = Rule(1, 1, MINUTE_MS, MINUTE_MS, aggregate)
    minimiser = Minimiser(rule, HEART_RATE)
    out = [offer(minimiser, at_ms, 70, record=n)[1] for n, at_ms in enumerate(times_ms)]
    out += iter(minimiser.close, None)

    starts = sorted({at_ms // MINUTE_MS * MINUTE_MS for at_ms in times_ms})
    assert sorted(o.time_ms for o in out if o is not None) == starts


def test_open_intervals_are_bounded() -> None:
    """However many intervals a sensor begins, a bounded number is open, and none is lost."""
    minimiser = Minimiser(Rule(1, 1, MINUTE_MS, aggregate=Aggregate.MEAN), HEART_RATE)
    count = 500
    out = [offer(minimiser, (count - n) * MINUTE_MS, 70)[1] for n in range(count)]

    assert minimiser.pending == count - sum(o is not None for o in out) <= 64


def test_spent_interval_is_not_observed_again() -> None:
    """After a restart an interval that has its observation gets no second one."""
    minimiser = Minimiser(Rule(1, interval_ms=MINUTE_MS), HEART_RATE, spent_ms=120_000)

    assert offer(minimiser, 119_000, 70) == (Verdict.COARSENED, None)
    assert offer(minimiser, 120_000, 70)[0] is Verdict.PENDING


def test_only_what_is_recognised_is_taken_from_before_a_restart() -> None:
    """What is known to be new may be old; of what is not, the time decides."""
    minimiser = Minimiser(Rule(1, interval_ms=MINUTE_MS), HEART_RATE, spent_ms=300_000)
    old = Measurement("s", HEART_RATE.code, 59_000)

    assert minimiser.offer(old, 70, now_ms=310_000) == (Refusal.LATE, None)
    assert minimiser.offer(old, 70, now_ms=310_000, is_recognised=True)[0] is Verdict.PENDING
    assert minimiser.spent_ms == 300_000


def test_close_only_live_leaves_what_can_be_repeated() -> None:
    """At a stop, only live values are emitted early; stored records are fetched again."""
    rule = Rule(1, 1, MINUTE_MS, aggregate=Aggregate.MEAN)
    stored, live = Minimiser(rule, HEART_RATE), Minimiser(rule, HEART_RATE)
    offer(stored, 61_000, 70, record=7)
    offer(stored, 62_000, 70, record=8)
    live.offer(Measurement("s", HEART_RATE.code, 61_000), 70, now_ms=61_000)

    assert stored.close(only_live=True) is None
    assert stored.open_records == {"s": 7}
    assert live.close(only_live=True) == MinimisedObservation(61_000, 70)
    assert live.open_records == {}


@pytest.mark.parametrize("aggregate", [Aggregate.FIRST, Aggregate.MEAN])
def test_what_was_taken_on_purpose_is_known_as_such(aggregate: Aggregate) -> None:
    """An observation counts as taken on purpose if any value of its interval was."""
    minimiser = Minimiser(Rule(1, 1, MINUTE_MS, aggregate=aggregate), HEART_RATE)
    single = Measurement("s", HEART_RATE.code, 61_000, is_single=True)
    _, at_once = minimiser.offer(single, 70, now_ms=61_000)
    offer(minimiser, 62_000, 70)
    observation = at_once or minimiser.close()
    _, follows = offer(minimiser, 121_000, 70)

    assert observation is not None
    assert observation.is_single
    assert not (follows or minimiser.close() or MinimisedObservation(0, 0)).is_single


def test_rule_that_allows_no_plausible_value_refuses() -> None:
    """A rule without any allowed plausible value refuses every measurement."""
    narrow = Quantity(HEART_RATE.code, "n", "/min", None, 1, 20, 300)
    assert offer(Minimiser(Rule(1, 1000), narrow), 1, 70) == (Refusal.IMPLAUSIBLE, None)
