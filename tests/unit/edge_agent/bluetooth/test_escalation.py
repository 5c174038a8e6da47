"""What to try next."""

import itertools

import pytest

from edge_agent.bluetooth.radio.escalation import Ladder, Rung, Steps, Trouble

STEPS = Steps(new_scanner_s=5, power_cycle_s=10, restart_s=20, exit_s=100)


def climb(trouble: Trouble, until_s: int) -> list[tuple[int, Rung]]:
    """Fail each second, and return when something else than a new client was due."""
    ladder = Ladder(trouble, STEPS)
    rungs = [(second, ladder.failed(now=float(second))) for second in range(until_s + 1)]
    return [(second, rung) for second, rung in rungs if rung is not Rung.NEW_CLIENT]


def test_the_first_failure_costs_a_new_client() -> None:
    """Most failures are gone at the next attempt."""
    assert Ladder(Trouble.STACK, STEPS).failed(now=7.0) is Rung.NEW_CLIENT


def test_a_broken_stack_climbs_to_the_top() -> None:
    """Each rung once and in order; the climb begins anew at half the pace; in the end we leave."""
    assert climb(Trouble.STACK, 100) == [
        (5, Rung.NEW_SCANNER),
        (10, Rung.POWER_CYCLE),
        (20, Rung.RESTART),
        (30, Rung.NEW_SCANNER),
        (40, Rung.POWER_CYCLE),
        (60, Rung.RESTART),
        (80, Rung.NEW_SCANNER),
        (100, Rung.EXIT),
    ]


@pytest.mark.parametrize("trouble", [Trouble.LINK, Trouble.DEAF])
def test_what_may_be_the_sensors_fault_restarts_nothing(trouble: Trouble) -> None:
    """A sensor at the edge of reach does not cost the machine its bluetoothd."""
    rungs = {rung for _, rung in climb(trouble, 1000)}
    assert rungs == {Rung.NEW_SCANNER, Rung.POWER_CYCLE}


def test_a_sensor_that_is_broken_for_good_gets_less_and_less() -> None:
    """The adapter goes off and on ever more seldom."""
    cycles = [s for s, rung in climb(Trouble.LINK, 1000) if rung is Rung.POWER_CYCLE]
    gaps = [after - before for before, after in itertools.pairwise(cycles)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 300


def test_hours_without_an_attempt_are_no_failure() -> None:
    """What failed before a lease ended, or the machine slept, does not end us after it."""
    ladder = Ladder(Trouble.STACK, STEPS)
    ladder.failed(now=0.0)
    assert ladder.failed(now=28_800.0) is Rung.NEW_CLIENT
    assert ladder.failed(now=28_805.0) is Rung.NEW_SCANNER


def test_a_success_brings_us_down() -> None:
    """After a success the next failure starts from the ground."""
    ladder = Ladder(Trouble.STACK, STEPS)
    for second in range(19):
        ladder.failed(now=float(second))
    ladder.worked()

    assert ladder.failed(now=99.0) is Rung.NEW_CLIENT
    assert ladder.failed(now=103.9) is Rung.NEW_CLIENT
    assert ladder.failed(now=104.0) is Rung.NEW_SCANNER
