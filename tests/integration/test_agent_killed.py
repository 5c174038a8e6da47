"""The agent killed at random instants under load: nothing lost, nothing doubled."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent import spool_check
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child
from tests.fakes_edge_agent import (
    HANDLE,
    OTHER_HANDLE,
    OTHER_SENSOR,
    SENSOR,
    Gateway,
    IngestDouble,
    PlayerDouble,
    agent_environ,
    grant,
    lease,
)
from tests.fix_pki import Certificates
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.slow]

_KILLS = 1000
_SHARE = 8


def now_ms() -> int:
    """Return the time of day."""
    return time.time_ns() // 1_000_000


class Mortal:
    """An agent that is started and killed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._config = gateway.write_config()
        self._log = gateway.folder / "agent.log"

    async def live(self, seconds: float) -> None:
        """Live so long, from the first instant on, and be killed."""
        child = self.start()
        await asyncio.sleep(seconds)
        child.kill()

    def start(self) -> Child:
        """Start it."""
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self._config)]
        return Child("agent", command, log=self._log, environ=agent_environ())


async def be_killed(gateway: Gateway, *, kills: int, seed: int) -> None:
    """Let a strap and a meter measure on while the agent is killed, and hold it to the promise."""
    rng = random.Random(seed)
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    meter = grant(OTHER_HANDLE, [OTHER_SENSOR], [Rule(Code.GLUCOSE_CAPILLARY)])
    start, played = now_ms(), 0
    await gateway.publish_lease(
        lease(grant(), meter, agent=gateway.agent, issued_at_ms=start, for_ms=6 * 3_600_000)
    )
    agent = Mortal(gateway)
    async with ingest.running(), player.running():
        for _ in range(kills):
            for _ in range(rng.randint(1, 20)):
                player.play(SENSOR, start + played, 60.0 + played % 100)
                player.play(
                    OTHER_SENSOR, start + played, 4.0 + played % 50 / 10, "glucose_capillary"
                )
                played += 1
            # As long as an agent needs to start, or to have sent everything, and all between.
            await agent.live(rng.uniform(0.2, 1.4))
        child = agent.start()
        await ingest.until(lambda: len(ingest.observations) >= 2 * played, within_s=60)
        await asyncio.sleep(1.0)
        assert child.stop() == 0
    for handle in (HANDLE, OTHER_HANDLE):
        times = sorted(at_ms for whose, _, at_ms, _ in ingest.observations if whose == handle)
        assert times == [start + i for i in range(played)]
    verdict = spool_check.verify(gateway.settings.state_dir)
    assert verdict.problems == []


@pytest.fixture
def gateway(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Gateway:
    """A gateway of this test alone."""
    return Gateway(run_folder / f"mortal-{broker.port}", broker, certificates)


async def test_some_kills(gateway: Gateway) -> None:
    """A few kills from a seed of the day: each record arrives exactly once."""
    await be_killed(gateway, kills=_SHARE, seed=now_ms() // 86_400_000)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_a_thousand_kills(gateway: Gateway) -> None:
    """A thousand kills: each record of strap and meter arrives exactly once."""
    kills = int(os.environ.get("VITALVEIL_TEST_KILLS", _KILLS))
    await be_killed(gateway, kills=kills, seed=20_260_101)


def test_two_agents_do_not_share_a_folder(gateway: Gateway, tmp_path: Path) -> None:
    """A second agent on the same folder refuses to start, and says why."""
    agent = Mortal(gateway)
    first = agent.start()
    try:
        deadline = time.monotonic() + 20
        while not gateway.settings.sensors.recorded_socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = subprocess.run(
            [sys.executable, "-m", "edge_agent", "run", "--config", str(gateway.write_config())],
            env=agent_environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        first.kill()
    assert second.returncode == 2
    assert "an agent is running on its folder" in second.stderr
