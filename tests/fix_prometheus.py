"""A real Prometheus, of Debian's package, that scrapes what a test runs."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from grafana.build import ROOT
from simulators.stack.child import Child, free_port

RULES = ROOT / "grafana" / "prometheus" / "vitalveil.rules.yml"
_CONFIGURATION = """\
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
{jobs}
"""
_JOB = "  - {{job_name: {name}, static_configs: [{{targets: [{targets}]}}]}}"


class Prometheus:
    """
    A server on loopback.

    Args:
        folder: Its private folder.

        jobs: What to scrape: the ports of each job.

        hosts: The names under which each is scraped: under two, it is as if there were two.
    """

    def __init__(
        self,
        folder: Path,
        jobs: Mapping[str, Sequence[int]],
        *,
        hosts: Sequence[str] = ("127.0.0.1",),
    ) -> None:
        self.port = free_port()
        configuration = folder / "prometheus.yml"
        lines = [
            _JOB.format(
                name=name,
                targets=", ".join(f"'{host}:{port}'" for port in ports for host in hosts),
            )
            for name, ports in jobs.items()
        ]
        configuration.write_text(_CONFIGURATION.format(rules=RULES, jobs="\n".join(lines)))
        program = shutil.which("prometheus")
        assert program is not None
        self._child = Child(
            "prometheus",
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            log=folder / "prometheus.log",
        )
        self._child.wait_until(self._is_ready, timeout_s=60)

    def _is_ready(self) -> bool:
        """Tell whether it answers queries: it listens before it has read what it stored."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/-/ready", timeout=5
            ) as reply:
                ready: bool = reply.status == 200
                return ready
        except OSError:
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """
        Return the vector that *expr* is now.

        Raises:
            AssertionError: It is none, or does not parse.
        """
        return self._ask("query", query=expr)

    def range(self, expr: str, *, seconds: float, step_s: float = 1.0) -> list[dict[str, Any]]:
        """Return what *expr* was over the last *seconds*."""
        now = time.time()
        return self._ask(
            "query_range", query=expr, start=str(now - seconds), end=str(now), step=str(step_s)
        )

    def value(self, expr: str) -> float | None:
        """Return the one number that *expr* is now, or None when it is nothing."""
        found = self.query(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> list[dict[str, Any]]:
        """Return every rule with its state."""
        groups = self._get("rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        answer = self._get(f"{what}?{urllib.parse.urlencode(parameters)}")
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def _get(self, what: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/{what}", timeout=10
            ) as reply:
                answer: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what}: {error.read().decode()}") from None
        return answer

    def stop(self) -> None:
        """Stop it."""
        self._child.stop()


def promtool(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; skip the test where there is none."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, cwd=folder
    )


def running(
    folder: Path, jobs: Mapping[str, Sequence[int]], *, hosts: Sequence[str] = ("127.0.0.1",)
) -> Iterator[Prometheus]:
    """Yield a running server; skip the test where there is none."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (apt-get install prometheus)")
    server = Prometheus(folder, jobs, hosts=hosts)
    try:
        yield server
    finally:
        server.stop()
