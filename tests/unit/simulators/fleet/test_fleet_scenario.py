"""Scenario files."""

import pytest

from simulators.fleet.errors import ScenarioError
from simulators.fleet.scenario import plan, scenario_file

_GOOD = """\
name: small
agents: 10
every_s: 5
phases:
  - name: steady
    duration_s: 10
limits: [lost=0]
"""


def test_every_ready_scenario_can_be_planned() -> None:
    """Every ready scenario can be planned."""
    names = scenario_file.ready_names()
    assert {"ward-30", "city-1k", "region-10k", "thundering-herd", "bad-network",
            "withdrawal-storm"} <= set(names)  # fmt: skip
    for name in names:
        scenario = scenario_file.load(name)
        assert scenario.name == name
        assert scenario.about
        assert len(plan.draw(scenario))


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("every_s: 5", "every: 5", 3, "no key every"),
        ("    duration_s: 10", "    duration_s: 10\n    ratte: 2", 7, "no key ratte"),
        ("    duration_s: 10", "    duration_s: 10\n    rate: 9000", 7, "nothing in it"),
        ("agents: 10", "agents: ten", 2, "Expected `int`"),
        ("agents: 10", "agents: 0", 2, "agents"),
        ("agents: 10", "agents: 10\nagents: 11", 3, "agents is there twice"),
        ("agents: 10", "agents: 10\nclock_skew_s: 60", 3, "clock_skew_s"),
        ("agents: 10", "agents: 10\nquantities: {mood: 1}", 3, "no such sensor"),
        ("agents: 10", "agents: 10\nquantities: {heart_rate: 0.0125}", 3, "whole number of ms"),
        ("agents: 10", "agents: 10\nquantities: {heart_rate: .inf}", 3, "out of range"),
        ("agents: 10", "agents: 10\nquantities: {heart_rate: .nan}", 3, "out of range"),
        ("agents: 10", "agents: 10\nseed: -1", 3, "seed"),
        ("every_s: 5", "every_s: .nan", 3, "every_s"),
        (
            "    duration_s: 10",
            "    duration_s: 10\n    churn_per_min: 1.0e+9",
            7,
            "churn_per_min",
        ),
        ("    duration_s: 10", "    duration_s: 10\n    rate: 0", 4, "nothing would be sent"),
        ("    duration_s: 10", "    duration_s: 30\n    ingest_stopped: true", 7, "for 30 s"),
        ("limits: [lost=0]", "", 1, "limits is missing"),
        ("limits: [lost=0]", "limits: []", 7, "limits: there are none"),
        ("limits: [lost=0]", "limits: [lost]", 7, "is not a limit"),
        ("limits: [lost=0]", "limits: [p99@night<=1s]", 7, "no such phase"),
        ("  - name: steady\n    duration_s: 10", "  []", 4, "none, or two"),
        ("    duration_s: 10", "    duration_s: 10\n    withdrawals: 11", 7, "fewer people"),
        ("    duration_s: 10", "    duration_s: 10\n    hostile: 1.5", 7, "a share"),
        ("    duration_s: 10", "    duration_s: 10\n    network: {lag: 1}", 7, "no key lag"),
        ("name: small", "name: [", 3, "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, problem: str) -> None:
    """The error for a mistake names the line, the problem and the remedy."""
    with pytest.raises(ScenarioError) as caught:
        scenario_file.parse(_GOOD.replace(old, new))
    assert problem in str(caught.value)
    assert caught.value.line == line
    assert caught.value.remedy


def test_rates_beyond_reason_are_refused() -> None:
    """A rate that one process could never seal is refused."""
    text = _GOOD.replace("agents: 10", "agents: 100000\nquantities: {heart_rate: 0.1}")
    with pytest.raises(ScenarioError, match="envelopes a second"):
        scenario_file.parse(text.replace("every_s: 5", "every_s: 1"))


def test_nobody_is_to_withdraw_twice() -> None:
    """A scenario with more withdrawals than people is refused."""
    phases = "\n".join(f"  - {{name: p{n}, duration_s: 1, withdrawals: 6}}" for n in (1, 2))
    text = _GOOD.replace("  - name: steady\n    duration_s: 10", phases)
    with pytest.raises(ScenarioError, match="more people withdraw than there are"):
        scenario_file.parse(text)


def test_a_scenario_without_a_file_is_told() -> None:
    """An unknown name is refused with a list of the ready scenarios."""
    with pytest.raises(ScenarioError, match="ward-30"):
        scenario_file.load("ward-31")


def test_policy_is_what_its_gateways_measure() -> None:
    """The policy of a scenario allows exactly its steps, and no finer ones."""
    policy = scenario_file.parse(_GOOD).policy("fleet@1")
    assert "heart_rate: {round: 1, min_interval: 5000ms, time_rounding: 5000ms" in policy
    assert "glucose_interstitial: {round: 0.01, min_interval: 300000ms" in policy
