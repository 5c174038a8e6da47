"""A running agent takes over settings at SIGHUP, and a renewed certificate."""

import contextlib
import datetime as dt
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child
from tests.fakes.edge_agent import SENSOR, Gateway, agent_environ, grant, lease
from tests.fakes.edge_agent_doubles import IngestDouble, PlayerDouble
from tests.fixtures.pki import VALID_FOR, Certificates
from trust.domain import pki

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture
def gateway(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Gateway:
    """A gateway for this test alone."""
    return Gateway(run_folder / f"reload-{broker.port}", broker, certificates)


@contextlib.contextmanager
def running(gateway: Gateway) -> Iterator[Child]:
    """Run an agent while the context is open."""
    command = [sys.executable, "-m", "edge_agent", "run", "--config", str(gateway.write_config())]
    log = gateway.folder / "agent.log"
    child = Child("agent", command, log=log, environ=agent_environ())
    try:
        yield child
    finally:
        child.kill()
        sys.stdout.write(log.read_text())


def logged(gateway: Gateway) -> str:
    """Return the log of the agent."""
    return (gateway.folder / "agent.log").read_text()


async def test_settings_and_certificate_are_taken_over(
    gateway: Gateway, certificates: Certificates
) -> None:
    """
    Invalid settings change nothing, valid ones do, and a renewed certificate is used at
    once.
    """
    player, ingest = PlayerDouble(gateway.settings.sensors.recorded_socket), IngestDouble(gateway)
    start = time.time_ns() // 1_000_000
    await gateway.publish_lease(lease(grant(), agent=gateway.agent, issued_at_ms=start))
    config = gateway.folder / "agent.toml"
    with running(gateway) as child:
        async with ingest.running(), player.running():
            await ingest.until(lambda: SENSOR in player.listening, within_s=20)
            sound = config.read_text()
            config.write_text("agent = 1\n")
            child.send(signal.SIGHUP)
            await ingest.until(lambda: "not_reloaded" in logged(gateway))
            config.write_text(sound + "[http]\nport = 1\n")
            now = time.time()
            holder = pki.issue(
                certificates.ca,
                gateway.agent,
                role=pki.CertificateRole.CLIENT,
                now=dt.datetime.now(dt.UTC),
                valid_for=VALID_FOR,
                hosts=[],
            )
            tls = gateway.settings.broker.tls
            tls.key_file.write_bytes(holder.key_pem())
            tls.certificate_file.write_bytes(holder.certificate_pem())
            os.utime(tls.certificate_file, (now + 5, now + 5))
            child.send(signal.SIGHUP)
            await ingest.until(lambda: "identity_renewed" in logged(gateway))
            player.play(SENSOR, start + 1, 61.0)
            await ingest.until(lambda: len(ingest.observations) == 1)
            assert child.stop() == 0
    log = logged(gateway)
    assert '"needs_restart", "section": "http"' in log
    assert '"action": "reloaded"' in log
    assert log.count("broker_connected") == 2
