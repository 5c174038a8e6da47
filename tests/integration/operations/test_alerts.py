"""Alerts: promtool tests of each, and every rule in a real Prometheus on a healthy system."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from grafana.build import ROOT
from grafana.prometheus_files import rules
from grafana.rules import ALERTS, GROUPS
from tests.fixtures.observed import Observed
from tests.fixtures.prometheus import RULES, promtool

_FOLDER = ROOT / "grafana" / "prometheus"


def test_rules_are_rules() -> None:
    """Prometheus' promtool accepts the rules."""
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_of_the_deployment(tmp_path: Path) -> None:
    """Prometheus' promtool accepts the configuration in deploy/ unchanged."""
    for source in (ROOT / "deploy/prometheus/prometheus.yml", RULES):
        (tmp_path / source.name).write_text(source.read_text())
    done = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_not_else() -> None:
    """Each alert fires in one scenario and does not fire in a similar one."""
    done = promtool("test", "rules", "vitalveil.tests.yml", folder=_FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_is_taken_out_is_missed(tmp_path: Path) -> None:
    """If an alert never fires, the scenario in which it should fire fails."""
    never = {
        name: [msgspec.structs.replace(alert, expr="vector(0) > 1") for alert in group]
        for name, group in GROUPS.items()
    }
    (tmp_path / "vitalveil.rules.yml").write_text(rules(never))
    (tmp_path / "t.yml").write_text((_FOLDER / "vitalveil.tests.yml").read_text())
    done = promtool("test", "rules", "t.yml", folder=tmp_path)
    failed = set(re.findall(r"alertname: (\w+)", done.stdout + done.stderr))
    assert failed == {alert.name for alert in ALERTS}


@pytest.mark.database
@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_alert_fires_on_a_healthy_system(observed: Observed) -> None:
    """On a healthy system every rule is evaluated without an error, and no alert fires."""

    def states() -> dict[str, str]:
        return {rule["name"]: rule["state"] for rule in observed.prometheus.alerts()}

    observed.staying.wait_for(
        lambda: set(states().values()) == {"inactive"}, "all is quiet", timeout_s=30
    )
    assert set(states()) == {alert.name for alert in ALERTS}
    for rule in observed.prometheus.alerts():
        assert rule["health"] == "ok", json.dumps(rule)


@pytest.mark.database
@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_ingest_that_dies_is_noticed(observed: Observed) -> None:
    """
    After a real kill of ingest the alert is pending within seconds, and it ends after a
    start.
    """
    whole = observed.staying.system
    assert whole.ingest is not None
    expr = next(alert.expr for alert in ALERTS if alert.name == "VitalVeilIngestDown")
    whole.ingest.kill()
    observed.staying.wait_for(lambda: bool(observed.prometheus.query(expr)), "it is noticed")
    whole.start_ingest()
    observed.staying.wait_for(lambda: not observed.prometheus.query(expr), "it is over")
