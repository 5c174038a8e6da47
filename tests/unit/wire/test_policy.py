"""The rule that edge agent and ingest share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies_wire import rules
from wire.policy import Rule
from wire.quantities import MISSING

times = st.integers(0, 1 << 42)
steps = st.integers(-0x7000, 0x7000)


@given(rules(), times, steps)
def test_what_is_coarsened_conforms(rule: Rule, time_ms: int, value: int) -> None:
    """Coarsened observations conform to the rule."""
    assert rule.conforms([rule.coarsen_time(time_ms)], [rule.coarsen_value(value)])


@given(rules(), times, steps)
def test_coarsening_twice_changes_nothing_more(rule: Rule, time_ms: int, value: int) -> None:
    """Coarsening a second time changes nothing."""
    time, coarse = rule.coarsen_time(time_ms), rule.coarsen_value(value)

    assert rule.coarsen_time(time) == time
    assert rule.coarsen_value(coarse) == coarse


@given(rules(), times, steps)
def test_coarsening_keeps_near(rule: Rule, time_ms: int, value: int) -> None:
    """
    A coarsened time is earlier by less than its step, in the same interval; a value moves by at
    most half a step.
    """
    time = rule.coarsen_time(time_ms)

    assert 0 <= time_ms - time < rule.time_step_ms
    assert rule.interval_of(time) == rule.interval_of(time_ms)
    assert abs(rule.coarsen_value(value) - value) * 2 <= rule.step


@pytest.mark.parametrize(
    ("value", "expected"), [(72, 70), (73, 75), (75, 75), (-72, -70), (0, 0), (2, 0), (3, 5)]
)
def test_value_goes_to_the_nearest_step(value: int, expected: int) -> None:
    """A value is rounded to the nearest multiple."""
    assert Rule(1, step=5).coarsen_value(value) == expected


def test_tie_goes_up() -> None:
    """Half a step is rounded up, below 0 as well."""
    rule = Rule(1, step=10)

    assert [rule.coarsen_value(v) for v in (5, 15, -5)] == [10, 20, 0]


@pytest.mark.parametrize(
    ("times_ms", "values", "expected"),
    [
        pytest.param([0, 60_000], [70, 75], True, id="as coarse as allowed"),
        pytest.param([], [], True, id="nothing"),
        pytest.param([0, 60_000], [70, MISSING], True, id="nothing measured"),
        pytest.param([0, 60_000], [70, 72], False, id="a value too fine"),
        pytest.param([0, 60_500], [70, 75], False, id="a time too fine"),
        pytest.param([0, 59_000], [70, 75], False, id="two in an interval"),
        pytest.param([59_000, 60_000], [70, 75], True, id="neighbours in two intervals"),
        pytest.param([60_000, 0, 61_000], [70, 70, 70], False, id="two in one, out of order"),
    ],
)
def test_finer_than_allowed_does_not_conform(
    times_ms: list[int], values: list[int], expected: bool
) -> None:
    """An observation with a finer value, time or interval does not conform."""
    rule = Rule(1, step=5, interval_ms=60_000, time_step_ms=1000)

    assert rule.conforms(times_ms, values) is expected


@pytest.mark.parametrize(
    ("quantity", "step", "interval_ms", "time_step_ms"),
    [
        (-1, 1, 1, 1),
        (1 << 16, 1, 1, 1),
        (1, 0, 1, 1),
        (1, 1 << 15, 1, 1),
        (1, 1, 0, 1),
        (1, 1, 1, 0),
        (1, 1, 1500, 1000),
    ],
)
def test_rule_that_contradicts_itself_is_refused(
    quantity: int, step: int, interval_ms: int, time_step_ms: int
) -> None:
    """A contradictory rule is refused."""
    with pytest.raises(ValueError, match=r"quantity|step|interval"):
        Rule(quantity, step, interval_ms, time_step_ms)


@given(rules(), rules(), times, steps)
def test_narrowed_is_within_both(one: Rule, other: Rule, time_ms: int, value: int) -> None:
    """A narrowed rule is within both of its rules."""
    other = Rule(one.quantity, other.step, other.interval_ms, other.time_step_ms, other.aggregate)
    both = one.narrowed(other)
    if both is None:
        return

    assert both.is_within(one)
    assert both.is_within(other)
    assert both.aggregate is other.aggregate
    run = [both.coarsen_time(time_ms + n * both.interval_ms) for n in range(3)]
    coarse = [both.coarsen_value(value)] * 3
    assert one.conforms(run, coarse)
    assert other.conforms(run, coarse)


def test_within_is_no_finer_in_anything() -> None:
    """
    A rule is within another only if value, time and interval are no finer, and the quantity is
    equal.
    """
    rule = Rule(1, 5, 60_000, 1000)

    assert rule.is_within(rule)
    assert Rule(1, 10, 120_000, 2000).is_within(rule)
    for finer in (
        Rule(1, 1, 60_000, 1000),
        Rule(1, 5, 30_000, 1000),
        Rule(1, 5, 60_000, 500),
        Rule(2, 5, 60_000, 1000),
    ):
        assert not finer.is_within(rule)


def test_no_rule_is_narrower_than_the_database_can_keep() -> None:
    """If the common multiple of two intervals exceeds 63 bits, there is no narrowed rule."""
    one, other = (Rule(1, interval_ms=interval) for interval in ((1 << 61) - 1, (1 << 31) - 1))

    assert one.narrowed(other) is None
    assert one.narrowed(one) == one
