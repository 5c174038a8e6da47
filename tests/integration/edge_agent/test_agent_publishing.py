"""
How an agent reconnects: new readings before the backlog, at a limited rate, after a
random delay.
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge_agent.doctor import checks
from edge_agent.ports import Sealed
from edge_agent.spool import inspection
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child
from tests.fakes.edge_agent import HANDLE, SENSOR, Gateway, agent_environ, grant, lease
from tests.fakes.edge_agent_doubles import IngestDouble, PlayerDouble
from tests.fixtures.pki import Certificates
from wire.envelope import Body, encode_envelope, pack_block
from wire.quantities import Code
from wire.sealing import Sealer

pytestmark = [pytest.mark.broker, pytest.mark.slow]

_PACE = 40
_BACKLOG = 280


@pytest.fixture
def gateway(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Gateway:
    """A gateway for this test alone."""
    return Gateway(run_folder / f"publishing-{broker.port}", broker, certificates)


@contextlib.contextmanager
def running(gateway: Gateway, **publish: float) -> Iterator[Child]:
    """Run an agent while the context is open, with these settings of the section *publish*."""
    twins = {f"VITALVEIL_AGENT_PUBLISH_{key.upper()}": str(publish[key]) for key in publish}
    command = [sys.executable, "-m", "edge_agent", "run", "--config", str(gateway.write_config())]
    log = gateway.folder / "agent.log"
    child = Child("agent", command, log=log, environ=agent_environ() | twins)
    try:
        yield child
    finally:
        child.kill()
        sys.stdout.write(log.read_text())


def logged(gateway: Gateway, action: str) -> list[dt.datetime]:
    """Return when the agent has logged *action*."""
    lines = map(json.loads, (gateway.folder / "agent.log").read_text().splitlines())
    return [dt.datetime.fromisoformat(line["at"]) for line in lines if line["action"] == action]


async def pile_up(gateway: Gateway, count: int) -> None:
    """Leave *count* envelopes of one observation each in the gateway's spool."""
    spool = await SqliteSpool.open(
        gateway.settings.state_dir,
        Tags(gateway.lease_key),
        new_spool_id=os.urandom(16),
        bounds=SpoolLimits(1 << 24, min_free_bytes=0),
    )
    sealer = Sealer(
        agent=gateway.agent,
        spool_id=spool.spool_id,
        session_key=os.urandom(32),
        ingest_key=gateway.ingest_key.public_key(),
    )
    for number in range(count):
        sequence = spool.take_sequence()
        body = Body(HANDLE, 1, [pack_block(Code.HEART_RATE, [1000 + number], [60])])
        payload = encode_envelope(sealer.seal(body, sequence=sequence))
        await spool.append([Sealed(sequence, HANDLE, 1, payload)], {}, now_ms=_now_ms())
    await spool.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_fresh_goes_first_and_the_backlog_at_its_pace(gateway: Gateway) -> None:
    """New readings arrive at once, while the backlog is sent at its limited rate."""
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    await pile_up(gateway, _BACKLOG)
    start = _now_ms()
    await gateway.publish_lease(lease(grant(), agent=gateway.agent, issued_at_ms=start))

    def old() -> int:
        return sum(at_ms < start for _, _, at_ms, _ in ingest.observations)

    def fresh() -> int:
        return len(ingest.observations) - old()

    async with ingest.running(), player.running():
        # Measured from before the start, because envelopes under way have not arrived yet.
        began = time.monotonic()
        with running(gateway, backlog_per_s=_PACE):
            await ingest.until(lambda: old() > 0 and SENSOR in player.listening, within_s=30)
            waits: list[float] = []
            for number in range(10):
                played = time.monotonic()
                player.play(SENSOR, _now_ms(), 60.0 + number)
                await ingest.until(lambda wanted=number + 1: fresh() == wanted, within_s=30)  # type: ignore[misc]
                waits.append(time.monotonic() - played)
            assert old() < _BACKLOG
            await ingest.until(lambda: old() == _BACKLOG, within_s=60)
            took = time.monotonic() - began
            state_dir = gateway.settings.state_dir
            # Read from the spool itself, because the published state may be half a minute old.
            await ingest.until(lambda: inspection.look(state_dir).stats.depth == 0, within_s=60)
    # The rate limiter may have saved up the permits of one second.
    assert took >= (_BACKLOG - _PACE) / _PACE
    assert sorted(waits)[len(waits) // 2] < 1.5
    assert ingest.deliveries == _BACKLOG + 10


async def test_gateways_do_not_come_back_together(
    run_folder: Path, broker: Mosquitto, certificates: Certificates
) -> None:
    """
    Each gateway waits a random part of the start delay before it connects, and measures
    meanwhile.
    """
    within_s = 8.0
    folder = run_folder / f"together-{broker.port}"
    gateways = [Gateway(folder / str(n), broker, certificates) for n in range(4)]
    with contextlib.ExitStack() as stack:
        for gateway in gateways:
            stack.enter_context(running(gateway, start_within_s=within_s))
        async with asyncio.timeout(60):
            while not all(logged(gateway, "broker_connected") for gateway in gateways):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        delays = [
            (logged(g, "broker_connected")[0] - logged(g, "started")[0]).total_seconds()
            for g in gateways
        ]
    sys.stdout.write(f"delays {delays}\n")
    # Four random delays are all below a sixteenth of the maximum once in 65,000 runs.
    assert max(delays) > within_s / 16
    assert min(delays) < within_s + 5


class Door:
    """A port that accepts, closes and counts every connection."""

    def __init__(self, port: int) -> None:
        self.knocks: list[float] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.knocks.append(time.monotonic())
                connection.close()

    def close(self) -> None:
        """Free the port."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


async def test_a_broker_that_refuses_is_not_besieged(gateway: Gateway) -> None:
    """
    The pauses between attempts grow to the longest one and never end, and the broker is found
    again.
    """
    broker, longest_s = gateway.broker, 2.0
    broker.kill()
    door = Door(broker.port)
    with running(gateway, longest_wait_s=longest_s):
        async with asyncio.timeout(60):
            while len(door.knocks) < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        door.close()
        apart = [
            later - sooner for sooner, later in zip(door.knocks, door.knocks[1:], strict=False)
        ]
        sys.stdout.write(f"apart {apart}\n")
        # The pauses are at most 0.5, 1, 2, 2, ... s, uniformly from 0: seven take 5.8 s on
        # average.
        assert sum(apart) > 1.0
        broker.start()
        async with asyncio.timeout(60):
            while not logged(gateway, "broker_connected"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


def test_doctor_asks_whether_the_broker_takes_the_certificate(
    gateway: Gateway, tmp_path: Path
) -> None:
    """
    `doctor` finds a certificate that the broker rejects, although the TLS handshake
    succeeds.
    """
    found = {finding.what: finding for finding in checks.examine(gateway.settings)}["broker"]
    assert found.verdict is checks.Severity.OK

    ours = gateway.settings.broker.tls
    strange = Certificates(tmp_path / "pki").client(gateway.agent)
    tls = msgspec.structs.replace(strange, ca_file=ours.ca_file)
    broker = msgspec.structs.replace(gateway.settings.broker, tls=tls)
    settings = msgspec.structs.replace(gateway.settings, broker=broker)
    found = {finding.what: finding for finding in checks.examine(settings)}["broker"]
    assert found.verdict is checks.Severity.BAD
    assert "refuses the certificate" in found.text
