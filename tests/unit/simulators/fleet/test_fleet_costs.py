"""The cost of a fleet's generator."""

import pytest

from simulators.fleet.run.costs import Costs


def test_costs_are_told_apart() -> None:
    """Connecting, idling and the load are measured separately."""
    cpu, clock, system = [0.0], [100.0], [0.0]
    costs = Costs(lambda: cpu[0], lambda: clock[0], lambda: system[0])
    assert costs.figures["cpu_s"] == costs.figures["system_s"] == 0
    cpu[0] = 3.0
    costs.connected(30_000_000, 1500)
    cpu[0] = 3.5
    costs.idles()
    cpu[0], clock[0], system[0] = 3.6, 102.0, 1.0
    costs.begun()
    cpu[0], system[0] = 5.6, 1.5
    assert costs.figures["cpu_s"] == pytest.approx(2.0)
    assert costs.figures["is_over"] == 0
    costs.ended()
    cpu[0] = system[0] = 9.0
    assert costs.figures == pytest.approx({
        "cpu_s": 2.0, "system_s": 0.5, "idle_cpu": 0.05,
        "idle_bytes": 30_000_000, "connecting_s": 3.0, "connections": 1500, "is_over": 1.0,
    })  # fmt: skip
