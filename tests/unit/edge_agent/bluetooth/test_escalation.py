"""What to try next."""

import itertools

import pytest

from edge_agent.bluetooth.radio.escalation import (
    Action,
    EscalationDelays,
    EscalationPolicy,
    FailureKind,
)

STEPS = EscalationDelays(new_scanner_s=5, power_cycle_s=10, restart_s=20, exit_s=100)


def climb(trouble: FailureKind, until_s: int) -> list[tuple[int, Action]]:
    """Fail each second, and return when something else than a new client was due."""
    escalation = EscalationPolicy(trouble, STEPS)
    rungs = [(second, escalation.failed(now=float(second))) for second in range(until_s + 1)]
    return [(second, rung) for second, rung in rungs if rung is not Action.NEW_CLIENT]


def test_the_first_failure_costs_a_new_client() -> None:
    """Most failures are gone at the next attempt."""
    assert EscalationPolicy(FailureKind.STACK, STEPS).failed(now=7.0) is Action.NEW_CLIENT


def test_a_broken_stack_climbs_to_the_top() -> None:
    """Each rung once and in order; the climb begins anew at half the pace; in the end we leave."""
    assert climb(FailureKind.STACK, 100) == [
        (5, Action.NEW_SCANNER),
        (10, Action.POWER_CYCLE),
        (20, Action.RESTART),
        (30, Action.NEW_SCANNER),
        (40, Action.POWER_CYCLE),
        (60, Action.RESTART),
        (80, Action.NEW_SCANNER),
        (100, Action.EXIT),
    ]


@pytest.mark.parametrize("trouble", [FailureKind.LINK, FailureKind.DEAF])
def test_what_may_be_the_sensors_fault_restarts_nothing(trouble: FailureKind) -> None:
    """A sensor at the edge of reach does not cost the machine its bluetoothd."""
    rungs = {rung for _, rung in climb(trouble, 1000)}
    assert rungs == {Action.NEW_SCANNER, Action.POWER_CYCLE}


def test_a_sensor_that_is_broken_for_good_gets_less_and_less() -> None:
    """The adapter goes off and on ever more seldom."""
    cycles = [s for s, rung in climb(FailureKind.LINK, 1000) if rung is Action.POWER_CYCLE]
    gaps = [after - before for before, after in itertools.pairwise(cycles)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 300


def test_hours_without_an_attempt_are_no_failure() -> None:
    """What failed before a lease ended, or the machine slept, does not end us after it."""
    escalation = EscalationPolicy(FailureKind.STACK, STEPS)
    escalation.failed(now=0.0)
    assert escalation.failed(now=28_800.0) is Action.NEW_CLIENT
    assert escalation.failed(now=28_805.0) is Action.NEW_SCANNER


def test_a_success_brings_us_down() -> None:
    """After a success the next failure starts from the ground."""
    escalation = EscalationPolicy(FailureKind.STACK, STEPS)
    for second in range(19):
        escalation.failed(now=float(second))
    escalation.worked()

    assert escalation.failed(now=99.0) is Action.NEW_CLIENT
    assert escalation.failed(now=103.9) is Action.NEW_CLIENT
    assert escalation.failed(now=104.0) is Action.NEW_SCANNER
