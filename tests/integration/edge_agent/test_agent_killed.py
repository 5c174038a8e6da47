"""The agent is killed at random moments under load: nothing is lost, nothing doubled."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from edge_agent.spool import inspection, verification
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child
from tests.fakes.edge_agent import (
    HANDLE,
    OTHER_HANDLE,
    OTHER_SENSOR,
    SENSOR,
    Gateway,
    agent_environ,
    grant,
    lease,
)
from tests.fakes.edge_agent_doubles import IngestDouble, PlayerDouble
from tests.fixtures.pki import Certificates
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.slow]

_KILLS = 1000
_SHARE = 20
_WORKS_S = 1.5
_STARTS_S = 0.6
_PERIOD_S = 0.05


def now_ms() -> int:
    """Return the time of day, ms since 1970."""
    return time.time_ns() // 1_000_000


class Life(msgspec.Struct, frozen=True):
    """The death of an agent."""

    worked_s: float | None
    """How long it had been connected to the broker, in seconds; None if it was killed before."""
    published: int
    """How many of its envelopes had arrived by then."""


class Mortal:
    """An agent that is started and killed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._config = gateway.write_config()
        self._log = gateway.folder / "agent.log"

    def start(self) -> Child:
        """Start the agent."""
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self._config)]
        return Child("agent", command, log=self._log, environ=agent_environ())

    async def at_work(self) -> Child:
        """Start the agent; return when it is connected to the broker."""
        self._log.touch()
        said = self._log.stat().st_size
        child = self.start()
        async with asyncio.timeout(60):
            while not self._says("broker_connected", after=said):  # noqa: ASYNC110 - its log
                await asyncio.sleep(0.01)
        return child

    def _says(self, action: str, *, after: int) -> bool:
        with self._log.open() as log:
            log.seek(after)
            return f'"{action}"' in log.read()

    async def die(self, ingest: IngestDouble, rng: random.Random) -> Life:
        """Start the agent and kill it, mostly at a uniformly random moment of its working time."""
        if rng.random() < 0.05:
            child = self.start()
            await asyncio.sleep(rng.uniform(0.0, _STARTS_S))
            child.kill()
            return Life(None, 0)
        child = await self.at_work()
        before, began = ingest.deliveries, time.monotonic()
        await asyncio.sleep(rng.uniform(0.0, _WORKS_S))
        child.kill()
        return Life(time.monotonic() - began, ingest.deliveries - before)


class Measuring:
    """
    A strap and a meter that measure, whether the agent listens or not.

    Args:
        player: Plays them.
    """

    def __init__(self, player: PlayerDouble) -> None:
        self._player = player
        self.start_ms = now_ms()
        self.count = 0
        """The number of records of each sensor."""

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            at_ms, n = self.start_ms + self.count, self.count
            self._player.play(SENSOR, at_ms, 60.0 + n % 100)
            self._player.play(OTHER_SENSOR, at_ms, 4.0 + n % 50 / 10, "glucose_capillary")
            self.count += 1
            await asyncio.sleep(_PERIOD_S)


def told(lives: list[Life]) -> str:
    """
    Return a line about the deaths, by tenths of the working time, and how many agents had
    published.
    """
    worked = [life.worked_s for life in lives if life.worked_s is not None]
    tenths = Counter(min(9, int(10 * worked_s / _WORKS_S)) for worked_s in worked)
    published = sum(life.published > 0 for life in lives)
    return (
        f"{len(lives)} lives: {len(lives) - len(worked)} ended at the start,"
        f" {published} had published ({100 * published / len(lives):.0f} %);"
        f" by tenths of {_WORKS_S} s at work: {[tenths[n] for n in range(10)]}\n"
    )


def missing(ingest: IngestDouble, measuring: Measuring) -> dict[str, list[int]]:
    """Return the first records of strap and meter that did not arrive."""
    arrived = {(whose, at_ms - measuring.start_ms) for whose, _, at_ms, _ in ingest.observations}
    return {
        name: [n for n in range(measuring.count) if (handle, n) not in arrived][:40]
        for name, handle in (("strap", HANDLE), ("meter", OTHER_HANDLE))
    }


async def be_killed(gateway: Gateway, *, kills: int, seed: int) -> list[Life]:
    """
    Kill the agent repeatedly while a strap and a meter measure, and check that each record arrives
    once.
    """
    rng = random.Random(seed)
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    meter = grant(OTHER_HANDLE, [OTHER_SENSOR], [Rule(Code.GLUCOSE_CAPILLARY)])
    await gateway.publish_lease(
        lease(grant(), meter, agent=gateway.agent, issued_at_ms=now_ms(), for_ms=6 * 3_600_000)
    )
    agent, measuring = Mortal(gateway), Measuring(player)
    async with ingest.running(), player.running():
        task = asyncio.create_task(measuring.run())
        lives = [await agent.die(ingest, rng) for _ in range(kills)]
        task.cancel()
        child = await agent.at_work()
        try:
            await ingest.until(
                lambda: len(ingest.observations) >= 2 * measuring.count, within_s=240
            )
        except TimeoutError:
            view = inspection.look(gateway.settings.state_dir)
            sys.stdout.write(
                f"{told(lives)}{missing(ingest, measuring)}\n{view}\n{player.listening}\n"
            )
            raise
        await ingest.until(lambda: inspection.look(gateway.settings.state_dir).stats.depth == 0)
        assert child.stop() == 0
    sys.stdout.write(told(lives))
    for handle in (HANDLE, OTHER_HANDLE):
        times = sorted(at_ms for whose, _, at_ms, _ in ingest.observations if whose == handle)
        assert times == [measuring.start_ms + n for n in range(measuring.count)]
    assert verification.verify(gateway.settings.state_dir).problems == []
    appended = inspection.look(gateway.settings.state_dir).totals["appended"]
    assert appended.observations == len(ingest.observations)
    return lives


@pytest.fixture
def gateway(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Gateway:
    """A gateway for this test alone."""
    return Gateway(run_folder / f"mortal-{broker.port}", broker, certificates)


async def test_some_kills(gateway: Gateway) -> None:
    """After some kills, with a new seed each day, each record arrives exactly once."""
    lives = await be_killed(gateway, kills=_SHARE, seed=now_ms() // 86_400_000)
    # On a busy machine many agents die before they are connected.
    assert any(life.published for life in lives)


@pytest.mark.long
@pytest.mark.timeout(14_400)
async def test_a_thousand_kills(gateway: Gateway) -> None:
    """
    After a thousand kills during its work each record of strap and meter arrives exactly
    once.
    """
    kills = int(os.environ.get("VITALVEIL_TEST_KILLS", _KILLS))
    seed = int(os.environ.get("VITALVEIL_TEST_SEED", 20_260_101))
    lives = await be_killed(gateway, kills=kills, seed=seed)
    assert sum(life.published > 0 for life in lives) >= 0.7 * kills


def test_two_agents_do_not_share_a_folder(gateway: Gateway, tmp_path: Path) -> None:
    """A second agent on the same folder refuses to start, and gives the reason."""
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
    assert "another agent is running on its folder" in second.stderr
