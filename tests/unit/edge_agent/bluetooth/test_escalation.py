"""The choice of the next recovery action."""

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
    """Fail each second; return when an action other than a new client was due."""
    escalation = EscalationPolicy(trouble, STEPS)
    actions = [(second, escalation.failed(now=float(second))) for second in range(until_s + 1)]
    return [(second, action) for second, action in actions if action is not Action.NEW_CLIENT]


def test_the_first_failure_costs_a_new_client() -> None:
    """The first failure only gets a new client."""
    assert EscalationPolicy(FailureKind.STACK, STEPS).failed(now=7.0) is Action.NEW_CLIENT


def test_a_broken_stack_climbs_to_the_top() -> None:
    """
    In a lasting failure each action is tried once and in order; then the series repeats at half
    the pace.
    """
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
    """Failures that may be the sensor's fault never restart bluetoothd."""
    actions = {action for _, action in climb(trouble, 1000)}
    assert actions == {Action.NEW_SCANNER, Action.POWER_CYCLE}


def test_a_sensor_that_is_broken_for_good_gets_less_and_less() -> None:
    """For a permanently broken sensor the adapter is switched off and on more and more rarely."""
    cycles = [s for s, action in climb(FailureKind.LINK, 1000) if action is Action.POWER_CYCLE]
    gaps = [after - before for before, after in itertools.pairwise(cycles)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 300


def test_hours_without_an_attempt_are_no_failure() -> None:
    """After hours without an attempt the first failure starts a new series."""
    escalation = EscalationPolicy(FailureKind.STACK, STEPS)
    escalation.failed(now=0.0)
    assert escalation.failed(now=28_800.0) is Action.NEW_CLIENT
    assert escalation.failed(now=28_805.0) is Action.NEW_SCANNER


def test_a_success_brings_us_down() -> None:
    """After a success the next failure starts with the gentlest action."""
    escalation = EscalationPolicy(FailureKind.STACK, STEPS)
    for second in range(19):
        escalation.failed(now=float(second))
    escalation.worked()

    assert escalation.failed(now=99.0) is Action.NEW_CLIENT
    assert escalation.failed(now=103.9) is Action.NEW_CLIENT
    assert escalation.failed(now=104.0) is Action.NEW_SCANNER
