"""The whole system as child processes, with sensors whose values tell their records' numbers."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
import pytest

from simulators.people.people import VirtualSensor, address_of
from simulators.recordings.sample import Sample
from simulators.replay.player import Player
from simulators.stack.network import Relay
from simulators.stack.scrape import Metrics, scrape
from simulators.stack.system import System, system
from simulators.stack.toml import Table
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from tests.fix_database import programs

STEP_MS: Final = 20
PURPOSE: Final = "acceptance@1"
_CYCLE: Final = 200
POLICY: Final = """\
purpose: acceptance@1
art6: 6.1.a
art9: 9.2.a
recipients: [test]
quantities:
  heart_rate: {round: 1, min_interval: 10ms, time_rounding: 1ms, aggregate: first}
retention: {raw: 1d, aggregates: 1d}
pad_bytes: 128
"""
_HASTY: Final[Table] = {"publish": {"resend_after_s": 4.0, "longest_wait_s": 2.0}}
"""Gateways of a home wait for half a minute: the tests would only wait with them."""
_numbers = itertools.count()


def _value(number: int) -> float:
    """Return the value of record *number*, from 0: plausible, and never its neighbour's."""
    return 40.0 + number % _CYCLE


def _samples() -> Iterator[Sample]:
    return (
        Sample(offset_ms=n * STEP_MS, quantity="heart_rate", value=_value(n))
        for n in itertools.count()
    )


def _counts(metrics: Metrics, prefix: str) -> dict[str, float]:
    """Return everything but the histograms, without what is 0."""
    return {
        " ".join([name.removeprefix(prefix), *(value for _, value in labels)]): value
        for (name, labels), value in metrics.samples.items()
        if name.startswith(prefix) and value and "_seconds_" not in name
    }


class Flow:
    """
    One subject with one sensor at one gateway, playing from the moment it is begun.

    Args:
        whole: The system.
    """

    def __init__(self, whole: System) -> None:
        self.system = whole
        self.sensor = VirtualSensor(
            address=address_of(f"acceptance/{next(_numbers)}"),
            kind="test sensor",
            quantities=("heart_rate",),
            step_ms=STEP_MS,
            samples=_samples,
        )
        with whole.trust_shell() as shell:
            self.gateway = whole.enrol(shell, agent=_HASTY)
            self.subject: str = shell.run(
                "subject", "add", "--name", "Test Subject", *INVENTED_BIRTH
            )["subject"]
            shell.run(
                "decision", "record", "--subject", self.subject, "--purpose", PURPOSE,
                "--agent", self.gateway.agent, "--quantities", "heart_rate",
                "--binding", self.sensor.address, *INVENTED_YES,
            )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self.player = Player([self.sensor], [self.gateway.sensors], speed=1.0, max_hz=100.0)
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._playing: asyncio.Task[None] | None = None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._playing = self._loop.create_task(self.player.run())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._playing)
        self._loop.close()

    def begin(self) -> None:
        """Start the agent, if it does not run, and the sensor."""
        if self.gateway.child is None:
            self.system.start_agent(self.gateway)
        self._thread.start()
        self.wait_for(lambda: self.handed_over > 0, "the agent listens to the sensor")

    @property
    def handed_over(self) -> int:
        """How many records the agent was handed."""
        return self.player.books[self.sensor.address].handed_over

    def restart_agent(self) -> None:
        """Kill the agent with SIGKILL and start it again."""
        assert self.gateway.child is not None
        self.gateway.child.kill()
        self.system.start_agent(self.gateway)

    def stored(self) -> list[float]:
        """Return the values stored of this sensor, in the order of their times."""
        return [value for (value,) in self.query(_STORED, self.gateway.agent)]

    def has_stored(self, more_than: int) -> bool:
        """Tell whether there are more rows than that."""
        return len(self.stored()) > more_than

    def wait_for_more(self, rows: int, what: str) -> None:
        """Wait until there are *rows* more than now."""
        more_than = len(self.stored()) + rows
        self.wait_for(lambda: self.has_stored(more_than), what, timeout_s=120)

    def withdraw(self) -> None:
        """Withdraw the subject from the purpose."""
        with self.system.trust_shell() as shell:
            shell.run("decision", "withdraw", "--subject", self.subject, "--purpose", PURPOSE)

    def query(self, text: str, *arguments: object) -> list[tuple[float]]:
        """Ask the telemetry database as its administrator."""
        admin = self.system.databases.admin("telemetry")
        with psycopg.connect(admin, autocommit=True) as connection:
            return connection.execute(text.encode(), arguments or None).fetchall()

    def wait_for(
        self, condition: Callable[[], bool], what: str, *, timeout_s: float = 60.0
    ) -> None:
        """Poll until *condition*, and fail when it takes too long."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout_s:.0f} s in vain until {what}: {self.facts()}")
            time.sleep(0.05)

    def facts(self) -> str:
        """Tell where the records are, for whoever reads of a failure."""
        agent, ingest = self.gateway.child, self.system.ingest
        said = scrape(self.gateway.http_port)
        heard = scrape(self.system.ingest_port)
        return ", ".join([
            f"{self.handed_over} handed over and {self.player.pending} to come",
            f"{len(self.stored())} stored",
            f"agent ended with {agent and agent.exit_code}",
            f"it says {said and _counts(said, 'vitalveil_agent_')}",
            f"ingest ended with {ingest and ingest.exit_code}",
            f"it says {heard and _counts(heard, 'vitalveil_ingest_')}",
        ])  # fmt: skip

    def spooled(self) -> float:
        """Return how many envelopes the agent holds; infinite while it does not answer."""
        metrics = scrape(self.gateway.http_port)
        if metrics is None:
            return float("inf")
        return metrics.value("vitalveil_agent_spool_envelopes")

    def finish(self) -> None:
        """Stop the sensor once all that it measured is handed over."""
        self._loop.call_soon_threadsafe(self.player.finish)
        self.wait_for(lambda: self.player.pending == 0, "every record was handed over")

    def told(self) -> list[float]:
        """Return the values that the agent was handed, in their order."""
        return [_value(n) for n in range(self.handed_over)]

    def end(self) -> None:
        """Stop the sensor, let everything be settled, and check: each record once, in order."""
        self.finish()
        self.wait_for(lambda: len(self.stored()) >= self.handed_over, "every record was stored")
        self.wait_for(lambda: self.spooled() == 0, "the spool was settled")
        self.stop_player()
        expected = self.told()
        stored = self.stored()
        assert len(stored) == len(expected), "lost or doubled"
        assert stored == expected

    def stop_player(self) -> None:
        """Take the sensor away."""
        if self._thread.is_alive() and self._playing is not None:
            self._loop.call_soon_threadsafe(self._playing.cancel)
            self._thread.join(10)


_STORED: Final = """
SELECT o.value FROM vv.observations o
WHERE o.series_id IN (SELECT series_id FROM vv.permissions WHERE agent = %s)
ORDER BY o.time
"""


class Scene:
    """A system whose ingest and agents reach the broker over networks that fail."""

    def __init__(self, whole: System, ingest_network: Relay, agent_network: Relay) -> None:
        self.system = whole
        self.ingest_network = ingest_network
        self.agent_network = agent_network
        self._flows: list[Flow] = []

    def flow(self) -> Flow:
        """Return a new subject's flow, begun, once its first values are stored."""
        flow = Flow(self.system)
        self._flows.append(flow)
        flow.begin()
        flow.wait_for(lambda: len(flow.stored()) > 0, "the first values were stored")
        return flow

    def close_flows(self) -> None:
        """Take every sensor and agent away."""
        for flow in self._flows:
            flow.stop_player()
            if flow.gateway.child is not None:
                flow.gateway.child.kill()
                flow.gateway.child = None
        self._flows.clear()


def begin(whole: System) -> None:
    """Start *whole* up to ingest, with the tests' policy."""
    prepare(whole)
    whole.start_trust()
    whole.start_ingest()


def prepare(whole: System) -> None:
    """Prepare *whole*, with the tests' policy."""
    whole.prepare()
    policy = whole.folder / "acceptance.yaml"
    policy.write_text(POLICY)
    with whole.trust_shell() as shell:
        shell.run("policy", "load", "--first", str(policy))


@pytest.fixture(scope="module")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with (
        system(programs=programs()) as whole,
        Relay(whole.broker.port) as for_ingest,
        Relay(whole.broker.port) as for_agents,
    ):
        whole.broker_ports.update(ingest=for_ingest.port, agent=for_agents.port)
        begin(whole)
        yield Scene(whole, for_ingest, for_agents)


@pytest.fixture
def scene(_scene: Scene) -> Iterator[Scene]:
    """The system of this file's tests, with every network open and every server up."""
    yield _scene
    _scene.ingest_network.release()
    _scene.agent_network.release()
    _scene.close_flows()
