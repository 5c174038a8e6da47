"""`vitalveil agent import` as a process, between two runs of the agent, with a real broker."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child
from tests.fakes.edge_agent import HANDLE, SENSOR, Gateway, agent_environ, grant, lease
from tests.fakes.edge_agent_doubles import IngestDouble
from tests.fixtures.pki import Certificates
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.slow]

_DAY_MS = 86_400_000


def command(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the agent's command *words* on the settings of *gateway*."""
    config = str(gateway.folder / "agent.toml")
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", *words, "--config", config],
        env=agent_environ(),
        capture_output=True,
        text=True,
        check=False,
    )


async def test_history_of_a_file_is_published_like_a_sensors(
    run_folder: Path, broker: Mosquitto, certificates: Certificates
) -> None:
    """
    While the agent runs, the command refuses; once it is stopped, it seals what the lease covers;
    and when the agent runs again, each observation arrives once and is settled.
    """
    gateway = Gateway(run_folder / f"import-{broker.port}", broker, certificates)
    gateway.write_config()
    now_ms = time.time_ns() // 1_000_000
    await gateway.publish_lease(
        lease(
            grant(rules=[Rule(Code.GLUCOSE_INTERSTITIAL)]),
            agent=gateway.agent,
            issued_at_ms=now_ms - 2 * _DAY_MS,
            for_ms=3 * _DAY_MS,
        )
    )
    file = gateway.folder / "entries.json"
    times = [now_ms - _DAY_MS + n * 300_000 for n in range(3)]
    before = now_ms - 3 * _DAY_MS
    file.write_text(
        json.dumps([{"type": "sgv", "date": at, "sgv": 100} for at in [before, *times]])
    )
    words = ["import", str(file), "--sensor", SENSOR, "--json"]
    run = [
        sys.executable,
        "-m",
        "edge_agent",
        "run",
        "--config",
        str(gateway.folder / "agent.toml"),
    ]
    log = gateway.folder / "agent.log"
    ingest = IngestDouble(gateway)
    agent = Child("agent", run, log=log, environ=agent_environ())
    try:
        async with ingest.running():
            await ingest.until(lambda: any(s.measuring for s in ingest.states))
            refused = command(gateway, *words)
            assert agent.stop() == 0
            imported = command(gateway, *words)
            agent = Child("agent", run, log=log, environ=agent_environ())
            await ingest.until(lambda: len(ingest.observations) == 3)
            await ingest.until(lambda: ingest.states[-1].spools[0].depth == 0)
    finally:
        agent.kill()

    assert refused.returncode == 1
    assert "Stop it, import the file" in refused.stderr
    assert imported.returncode == 0, imported.stderr
    report = json.loads(imported.stdout)
    assert (report["readings"], report["observations"]) == (4, 3)
    assert report["refused"] == {"no_lease": 1}
    assert sorted(ingest.observations) == [
        (HANDLE, Code.GLUCOSE_INTERSTITIAL, at, 5.55) for at in times
    ]
