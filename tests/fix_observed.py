"""The whole system under a known load, scraped by a real Prometheus."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from simulators.stack.system import system
from tests.fix_prometheus import Prometheus, running
from tests.fix_system import POLICY, STEP_MS, Flow

PER_SECOND = 1000 / STEP_MS
GRAFANA_PASSWORD = "of a test alone"


class Observed:
    """Two people at two gateways, each measured 50 times a second; one withdrew."""

    def __init__(self, staying: Flow, leaving: Flow, prometheus: Prometheus) -> None:
        self.staying = staying
        self.leaving = leaving
        self.prometheus = prometheus

    def wait_for_states(self) -> None:
        """Wait until both gateways have told what they counted, since the withdrawal as well."""
        metric = 'sum(vitalveil_ingest_fleet_observations_total{step="settled"})'
        self.staying.wait_for(
            lambda: (self.prometheus.value(metric) or 0) > 500, "states came", timeout_s=120
        )

    def as_grafana(self, text: str) -> list[tuple[object, ...]]:
        """Return the rows of *text*, asked as a dashboard asks."""
        parts = self.staying.system.databases
        with psycopg.connect(
            parts.admin("telemetry"), autocommit=True, user="vv_grafana", password=GRAFANA_PASSWORD
        ) as connection:
            return connection.execute(text.encode()).fetchall()


@pytest.fixture(scope="module")
def observed() -> Iterator[Observed]:
    """A system that has run under load for long enough that every panel has something to show."""
    with system() as whole:
        whole.prepare(ingest={"watch": {"every_s": 0.5, "database_capacity_bytes": 10**11}})
        policy = whole.folder / "acceptance.yaml"
        policy.write_text(POLICY)
        with whole.trust_shell() as shell:
            shell.run("policy", "load", "--first", str(policy))
        staying, leaving = Flow(whole), Flow(whole)
        with psycopg.connect(whole.databases.admin("telemetry"), autocommit=True) as admin:
            admin.execute(f"ALTER ROLE vv_grafana LOGIN PASSWORD '{GRAFANA_PASSWORD}'".encode())
        whole.start_trust()
        whole.start_ingest()
        jobs = {"vitalveil-ingest": [whole.ingest_port], "vitalveil-trust": [whole.trust_port]}
        for prometheus in running(whole.folder, jobs):
            seen = Observed(staying, leaving, prometheus)
            try:
                for flow in (staying, leaving):
                    flow.begin()
                time.sleep(8)
                with whole.trust_shell() as shell:
                    shell.run(
                        "decision", "withdraw", "--subject", leaving.subject,
                        "--purpose", "acceptance",
                    )  # fmt: skip
                    # A gateway tells what it counted when its lease changes, else twice a minute.
                    shell.run("lease", "supersede", "--yes")
                seen.wait_for_states()
                yield seen
            finally:
                for flow in (staying, leaving):
                    flow.stop_player()
