"""The plan of a run."""

from pathlib import Path

import numpy as np
import pytest

from simulators.fleet.errors import RosterError
from simulators.fleet.scenario import plan, scenario_file
from simulators.fleet.scenario.plan import Act, Plan
from simulators.fleet.scenario.scenario import Network, Phase, Scenario


def _scenario(*phases: Phase, agents: int = 50, seed: int = 1) -> Scenario:
    return Scenario(
        name="x", agents=agents, every_s=2.0, phases=list(phases), limits=["lost=0"],
        quantities={"heart_rate": 0.5}, seed=seed,
    )  # fmt: skip


def _sends(found: Plan) -> Plan:
    return found.where(found.act < Act.LEAVE)


def test_one_seed_one_plan() -> None:
    """The same seed gives the same plan, byte for byte, and another seed another plan."""
    phase = Phase(name="a", duration_s=20, hostile=0.1, churn_per_min=60, withdrawals=3)
    digests = [plan.draw(_scenario(phase, seed=seed)).digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_what_falls_into_a_turn_is_due_at_its_end() -> None:
    """
    Acts are due at the end of their turn: never early, late by less than a turn, in the same
    order.
    """
    found = plan.draw(_scenario(Phase(name="a", duration_s=20)))
    due = found.due_by_turn_s(0.05)
    late = due - found.at_s
    assert late.min() >= 0
    assert late.max() < 0.05
    assert np.all(np.diff(due) >= 0)
    assert np.allclose(due / 0.05, np.rint(due / 0.05))


def test_each_gateway_keeps_its_beat() -> None:
    """At a steady rate each gateway's envelopes have equal distances, to the millisecond."""
    found = _sends(plan.draw(_scenario(Phase(name="a", duration_s=20))))
    for agent in range(50):
        gaps = np.diff(found.at_s[found.agent == agent])
        assert np.allclose(gaps, 2.0, atol=1e-3)
        assert 9 <= len(gaps) + 1 <= 10
    assert len(found) == 500


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase(name="a", duration_s=20, rate=2), 1000),
        (Phase(name="a", duration_s=20, rate=0), 0),
        (Phase(name="a", duration_s=20, rate=0, rate_to=2), 500),
        (Phase(name="a", duration_s=20, rate=2, rate_to=0), 500),
    ],
)
def test_rates_come_out_as_offered(phase: Phase, expected: int) -> None:
    """The number of envelopes equals the integral of the rate."""
    found = _sends(plan.draw(_scenario(phase, Phase(name="b", duration_s=2))))
    assert abs(int((found.phase == 0).sum()) - expected) <= 1


def test_a_herd_comes_back_with_ten_minutes() -> None:
    """
    In the thundering herd each of ten thousand gateways has twenty envelopes of thirty
    seconds.
    """
    scenario = scenario_file.load("thundering-herd")
    away = next(n for n, phase in enumerate(scenario.phases) if phase.offline == 1)
    found = _sends(plan.draw(scenario))
    held = np.bincount(found.agent[found.phase == away], minlength=scenario.agents)
    assert scenario.agents == 10_000
    assert set(held.tolist()) == {20}
    covers_s = scenario.every_s / scenario.phases[away].rate
    (step_s,) = scenario.quantities.values()
    assert round(covers_s / step_s) == 30


def test_time_never_goes_back_and_phases_follow() -> None:
    """Acts are in the order of time, each in the phase of its time."""
    found = _sends(
        plan.draw(_scenario(Phase(name="a", duration_s=7), Phase(name="b", duration_s=9, rate=3)))
    )
    assert (np.diff(found.at_s) >= 0).all()
    assert ((found.at_s >= 7) == (found.phase == 1)).all()


def test_who_leaves_returns() -> None:
    """Each gateway that goes offline returns after the phase, within the given time."""
    found = plan.draw(
        _scenario(Phase(name="a", duration_s=10, offline=0.4, return_within_s=3),
                  Phase(name="b", duration_s=10))
    )  # fmt: skip
    left, back = found.where(found.act == Act.LEAVE), found.where(found.act == Act.RETURN)
    assert len(left) == 20
    assert set(left.agent.tolist()) == set(back.agent.tolist())
    assert ((back.at_s >= 10) & (back.at_s <= 13)).all()


def test_nobody_withdraws_twice() -> None:
    """Over all phases each person withdraws at most once."""
    phases = [Phase(name=name, duration_s=5, withdrawals=20) for name in "ab"]
    people = [agent for _, agent in plan.draw(_scenario(*phases)).withdrawals()]
    assert len(set(people)) == len(people) == 40


def test_shares_of_bad_envelopes_are_kept() -> None:
    """The shares of each kind of bad envelope are those of the scenario, within chance."""
    found = plan.draw(
        _scenario(Phase(name="a", duration_s=100, duplicates=0.2, corrupt=0.1, hostile=0.2),
                  agents=200)
    )  # fmt: skip
    acts = found.act.astype(int).tolist()
    assert 0.17 < acts.count(Act.SEND_TWICE) / len(acts) < 0.23
    assert 0.08 < acts.count(Act.CORRUPT) / len(acts) < 0.12
    assert all(acts.count(act) for act in plan.HOSTILE)


def test_workers_share_a_plan_without_rest() -> None:
    """Every act of a gateway belongs to exactly one process."""
    found = plan.draw(_scenario(Phase(name="a", duration_s=20, churn_per_min=30, withdrawals=2)))
    parts = [found.of_worker(number, 3) for number in range(3)]
    assert sum(map(len, parts)) == len(found) - 2
    assert all((part.agent % 3 == number).all() for number, part in enumerate(parts))


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """A recorded plan is read back byte for byte."""
    found = plan.draw(_scenario(Phase(name="a", duration_s=20, network=Network(latency_ms=1))))
    path = tmp_path / "plan.npz"
    found.write(path)
    assert plan.read(path).digest == found.digest


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no", b"\x80\x04K\x01."])
def test_what_is_no_plan_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file that is no plan is refused, and never executed."""
    path = tmp_path / "plan.npz"
    path.write_bytes(data)
    with pytest.raises(RosterError):
        plan.read(path)
