"""The agent as a process between a player, a real broker and a double of ingest."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.spool.repair import JUMP
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
from wire.lease import Lease
from wire.policy import Rule

_AGENT = (sys.executable, "-m", "edge_agent")

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timed]


def now_ms() -> int:
    """Return the time of day, ms since 1970."""
    return time.time_ns() // 1_000_000


class Process:
    """The agent as a child process."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.log = gateway.folder / "agent.log"
        self.config = gateway.write_config()
        self.child: Child | None = None

    def start(self) -> None:
        """Start the agent."""
        command = [*_AGENT, "run", "--config", str(self.config)]
        self.child = Child("agent", command, log=self.log, environ=agent_environ())

    def stop(self) -> int | None:
        """Stop the agent; return its exit code."""
        assert self.child is not None
        return self.child.stop()

    def kill(self) -> None:
        """Kill the agent, as a power cut would."""
        if self.child is not None:
            self.child.kill()

    def spool(self) -> dict[str, object]:
        """Return the output of `spool show`."""
        shown = subprocess.run(
            [
                sys.executable,
                *["-m", "edge_agent", "spool", "show", "--json", "--config"],
                self.config,
            ],
            env=agent_environ(),
            capture_output=True,
            check=True,
        )
        spool: dict[str, object] = json.loads(shown.stdout)
        return spool


@pytest.fixture
def gateway(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Gateway:
    """A gateway for this test alone."""
    return Gateway(run_folder / f"gateway-{broker.port}", broker, certificates)


@pytest.fixture
def process(gateway: Gateway) -> Iterator[Process]:
    """The agent of the gateway, not started."""
    process = Process(gateway)
    yield process
    process.kill()
    sys.stdout.write(process.log.read_text())  # Shown when the test fails.


def granted(gateway: Gateway, version: int = 1, *, for_ms: int = 3_600_000) -> Lease:
    """Return a lease with two sensors of two subjects."""
    return lease(
        grant(),
        grant(OTHER_HANDLE, [OTHER_SENSOR]),
        version=version,
        agent=gateway.agent,
        issued_at_ms=now_ms(),
        for_ms=for_ms,
    )


async def test_measured_becomes_settled(gateway: Gateway, process: Process) -> None:
    """Measurements arrive once and soon, under their handles, and are deleted on a receipt."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: set(player.listening) == {SENSOR, OTHER_SENSOR})
        start = now_ms()
        began = time.monotonic()
        for i in range(20):
            player.play(SENSOR, start + i, 60.0 + i)
            player.play(OTHER_SENSOR, start + i, 100.0 + i)
        await ingest.until(lambda: len(ingest.observations) == 40)
        took = time.monotonic() - began
        assert sorted(ingest.observations) == sorted(
            [(HANDLE, 1, start + i, 60.0 + i) for i in range(20)]
            + [(OTHER_HANDLE, 1, start + i, 100.0 + i) for i in range(20)]
        )
        assert took < 1.0
        await ingest.until(lambda: process.spool()["depth"] == 0)
        assert process.stop() == 0
        await ingest.until(lambda: ingest.states[-1].online is False)
    totals = process.spool()["totals"]
    assert isinstance(totals, dict)
    assert totals["appended"] == totals["settled"]
    assert totals["appended"]["observations"] == 40


async def test_withdrawal_stops_sampling_and_purges(gateway: Gateway, process: Process) -> None:
    """A lease without a handle stops its sensor at once, and erases its unsent envelopes."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    ingest.settles = False
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: set(player.listening) == {SENSOR, OTHER_SENSOR})
        start = now_ms()
        player.play(SENSOR, start, 60.0)
        player.play(OTHER_SENSOR, start, 100.0)
        await ingest.until(lambda: len(ingest.observations) == 2)
        await gateway.publish_lease(
            lease(grant(), version=2, agent=gateway.agent, issued_at_ms=now_ms())
        )
        began = time.monotonic()
        await ingest.until(lambda: set(player.listening) == {SENSOR})
        assert time.monotonic() - began < 1.0
        await ingest.until(lambda: process.spool()["depth"] == 1)
        await ingest.until(lambda: ingest.states[-1].lease == 2)
        floor = {state.spools[0].floor for state in ingest.states}
        assert floor <= {1, 2, 3}
    totals = process.spool()["totals"]
    assert isinstance(totals, dict)
    assert totals["purged"] == {"envelopes": 1, "observations": 1}
    process.kill()


async def test_lease_that_ends_stops_sampling(gateway: Gateway, process: Process) -> None:
    """Within a second after the end of its lease the agent listens to no sensor."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: len(player.listens) > 0)
        assert player.listening == {}
        ends_at_ms = now_ms() + 1500
        await gateway.publish_lease(granted(gateway, for_ms=1500))
        await ingest.until(lambda: len(player.listening) == 2)
        await ingest.until(lambda: player.listening == {})
        assert -50 < now_ms() - ends_at_ms < 1000
        await ingest.until(lambda: not ingest.states[-1].measuring)
        await gateway.publish_lease(granted(gateway, version=2))
        await ingest.until(lambda: len(player.listening) == 2)


async def test_a_restart_leaves_no_sensor_out(gateway: Gateway, process: Process) -> None:
    """
    A restarted agent sends no listen message before it has its lease, and then names
    every sensor.
    """
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: len(player.listening) == 2)
        told = len(player.listens)
        for life in range(1, 4):
            process.kill()
            process.start()
            await ingest.until(lambda: len(player.listens) >= told + life)  # noqa: B023
        assert {} not in player.listens[told:]
        ends_at_ms = now_ms() + 1500
        await gateway.publish_lease(granted(gateway, version=2, for_ms=1500))
        await ingest.until(lambda: ingest.states[-1].lease == 2)
        process.kill()
        await ingest.until(lambda: now_ms() > ends_at_ms)
        process.start()
        await ingest.until(lambda: player.listening == {})


async def test_lease_of_a_stranger_or_of_before_changes_nothing(
    gateway: Gateway, process: Process
) -> None:
    """A lease with a wrong signature or an older version changes nothing, even after a restart."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(lease(grant(), version=5, agent=gateway.agent))
    await gateway.publish_lease(
        lease(grant(), version=5, agent=gateway.agent, issued_at_ms=now_ms())
    )
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: set(player.listening) == {SENSOR})
        process.kill()
        await gateway.publish_lease(granted(gateway, version=4))
        process.start()
        await ingest.until(lambda: "is older than version" in process.log.read_text())
        await gateway.publish_lease(granted(gateway, 9), key=Ed25519PrivateKey.generate())
        await ingest.until(lambda: process.log.read_text().count("lease_refused") == 2)
        await gateway.publish_lease(granted(gateway, version=6))
        await ingest.until(lambda: set(player.listening) == {SENSOR, OTHER_SENSOR})
    assert not any(OTHER_SENSOR in told for told in player.listens[:-1])


async def test_broker_dies_and_comes_back_empty(gateway: Gateway, process: Process) -> None:
    """
    After the broker has lost all its state, the agent sends every envelope without a receipt
    again.
    """
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with player.running():
        start = now_ms()
        async with ingest.running():
            await ingest.until(lambda: len(player.listening) == 2)
            player.play(SENSOR, start, 60.0)
            await ingest.until(lambda: len(ingest.observations) == 1)
        # No subscriber is connected: these messages are in the broker only, and are wiped.
        for i in range(1, 6):
            player.play(SENSOR, start + i, 60.0)
        await ingest.until(lambda: process.spool()["depth"] != 0)
        gateway.broker.kill()
        gateway.broker.wipe()
        for i in range(6, 11):
            player.play(SENSOR, start + i, 60.0)
        gateway.broker.start()
        async with ingest.running():
            await ingest.until(lambda: len(ingest.observations) == 11, within_s=20)
            await ingest.until(lambda: process.spool()["depth"] == 0)
    assert [at_ms - start for _, _, at_ms, _ in ingest.observations] == list(range(11))
    assert process.stop() == 0


async def test_lost_without_a_trace_comes_again(gateway: Gateway, process: Process) -> None:
    """An envelope that ingest never received over a live connection is published again."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with player.running():
        async with ingest.running():
            await ingest.until(lambda: len(player.listening) == 2)
        # Ingest has a clean session: while it is not connected, the broker drops its messages.
        for i in range(50):
            player.play(SENSOR, now_ms() + i, 60.0)
            await asyncio.sleep(0.005)
        await ingest.until(lambda: process.spool()["depth"] != 0)
        async with ingest.running():
            await ingest.until(lambda: len(ingest.observations) == 50, within_s=20)
            await ingest.until(lambda: process.spool()["depth"] == 0)


async def test_killed_anywhere_loses_and_doubles_nothing(
    gateway: Gateway, process: Process
) -> None:
    """However often the agent is killed, each record is stored once, at its coarse resolution."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    coarse = lease(
        grant(rules=[Rule(1), Rule(5, interval_ms=10)]),
        agent=gateway.agent,
        issued_at_ms=now_ms(),
    )
    await gateway.publish_lease(coarse)
    async with ingest.running(), player.running():
        start = now_ms()
        for life in range(8):
            process.start()
            for i in range(life * 60, life * 60 + 60):
                player.play(SENSOR, start + i, 60.0 + i % 100)
                player.play(SENSOR, start + i, 90.0, "spo2")
            await asyncio.sleep(0.5 + 0.11 * life)
            process.kill()
        logged = len(process.log.read_text())
        process.start()
        await ingest.until(lambda: "broker_connected" in process.log.read_text()[logged:])
        await ingest.until(lambda: len(ingest.observations) >= 480 + 48, within_s=20)
        await ingest.until(lambda: process.spool()["depth"] == 0)
        assert process.stop() == 0
    assert sorted(at for _, q, at, _ in ingest.observations if q == 1) == [
        start + i for i in range(480)
    ]
    spo2 = [at // 10 for _, q, at, _ in ingest.observations if q == 5]
    assert len(spo2) == len(set(spo2))
    totals = process.spool()["totals"]
    assert isinstance(totals, dict)
    assert totals["appended"]["observations"] == len(ingest.observations)
    assert totals["settled"] == totals["appended"]


async def test_nothing_in_clear_outside_the_process(gateway: Gateway, process: Process) -> None:
    """No address, handle or value is in the spool's files, the stored lease or the log."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    ingest.settles = False
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: len(player.listening) == 2)
        for i in range(100):
            player.play(SENSOR, now_ms() + i, 123.0)
        await ingest.until(lambda: len(ingest.observations) == 100)
        assert process.stop() == 0
    # 123 as int16 in a run of 100, as an unsealed body would contain it.
    canaries = [SENSOR.encode(), SENSOR.replace(":", "").encode(), HANDLE, HANDLE.hex().encode()]
    canaries += [bytes.fromhex(SENSOR.replace(":", "")), b"\x7b\x00" * 8, b"heart_rate"]
    files = [*gateway.settings.state_dir.iterdir(), process.log]
    assert {file.name for file in files} >= {"spool.db", "lease.sealed", "agent.log"}
    for file in files:
        content = file.read_bytes()
        assert not [canary for canary in canaries if canary in content], file.name


async def test_damaged_spool_is_set_aside(gateway: Gateway, process: Process) -> None:
    """
    A damaged spool file is set aside and not deleted; the agent continues, and takes no record
    twice.
    """
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: len(player.listening) == 2)
        start = now_ms()
        for i in range(10):
            player.play(SENSOR, start + i, 60.0)
        await ingest.until(lambda: len(ingest.observations) == 10)
        process.stop()
        path = gateway.settings.state_dir / "spool.db"
        with sqlite3.connect(path) as db:
            query = "SELECT rootpage FROM sqlite_schema WHERE name = 'gaps'"
            page: int = db.execute(query).fetchone()[0]
            size: int = db.execute("PRAGMA page_size").fetchone()[0]
        db.close()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
        process.start()
        player.play(SENSOR, start + 10, 60.0)
        await ingest.until(lambda: len(ingest.observations) == 11)
    assert path.with_name("spool.db.damaged-1").exists()
    assert "spool_set_aside" in process.log.read_text()
    assert len({spool_id for spool_id, _ in ingest.payloads}) == 1
    assert max(sequence for _, sequence in ingest.payloads) > JUMP


async def test_hostile_player_is_survived(gateway: Gateway, process: Process) -> None:
    """Any input of a player leaves the agent running, and invalid lines are counted."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await gateway.publish_lease(granted(gateway))
    process.start()
    async with ingest.running(), player.running():
        await ingest.until(lambda: len(player.listening) == 2)
        _, writer = await asyncio.open_unix_connection(gateway.settings.sensors.recorded_socket)
        for junk in (
            b"{",
            b"[]",
            b"\xff\xfe",
            b"x" * 100_000,
            b"null",
            b'{"sensor": 1}',
            b"[" * 4000,
        ):
            writer.write(junk + b"\n")
        writer.write(os.urandom(1_000_000))
        await writer.drain()
        writer.close()
        player.play(SENSOR, now_ms(), 61.0)
        await ingest.until(lambda: len(ingest.observations) == 1)
        assert process.stop() == 0
