"""
The lease publisher with a real broker: a lease that ends the connection, and a closed telemetry
database.
"""

import asyncio
from pathlib import Path

import pytest

from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from tests.support.poisons import POISONS, set_aside, want
from tests.support.publishing import publishing, until
from trust.domain.units import Cause
from trust.errors import Tampered
from trust.reconcile import mqtt_broker
from trust.reconcile.mqtt_broker import MqttBroker

pytestmark = [pytest.mark.database, pytest.mark.broker]

SMALL = 4096


class _ClosedGuard:
    """Keeps the telemetry database closed until the test opens it."""

    is_closed = True

    def ensure(self) -> None:
        if self.is_closed:
            raise Tampered("a step of an erasure")


def _is_published(office: Office, agents: list[str]) -> bool:
    return not office.vault.fetch(
        "SELECT FROM vault.agents WHERE agent = ANY(%s) AND published_version < lease_version",
        agents,
    )


async def test_a_lease_that_ends_the_connection_is_found(
    office: Office, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A lease that makes the broker disconnect is found by publishing leases one by one; all others
    are published.
    """
    office.load_policy()
    sound = sorted(office.enrol()[0] for _ in range(6))
    large, _ = office.enrol()
    for agent in (*sound, large):
        office.accept(office.add_subject(), agent)
    POISONS["a lease that is too large"][0](office, large, "")
    broker = Mosquitto(folder=tmp_path, pki=certificates.folder, max_packet_bytes=SMALL)
    broker.start()
    # As for a broker that does not announce its largest packet.
    monkeypatch.setattr(mqtt_broker, "_allowed", lambda properties: 1 << 28)
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=1 << 28)

    try:
        async with publishing(office, mqtt):
            await until(lambda: _is_published(office, sound))
            await until(lambda: set_aside(office) == {large: {Cause.CONNECTION_LOST}})
            want(office, *sound)
            await until(
                lambda: not office.vault.fetch("SELECT FROM vault.agents WHERE applied < wanted")
            )
            await until(lambda: _is_published(office, sound))
    finally:
        broker.kill()

    assert not _is_published(office, [large])


async def test_a_broker_that_restarts_sets_nobody_aside(
    office: Office, certificates: Certificates, broker: Mosquitto
) -> None:
    """
    Leases that were under way when the connection was lost are published on the next one, and none
    is set aside.
    """
    office.load_policy()
    agents = [office.enrol()[0] for _ in range(4)]
    for agent in agents:
        office.accept(office.add_subject(), agent)
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=131_072)

    async with publishing(office, mqtt):
        for _ in range(3):
            await until(lambda: _is_published(office, agents))
            want(office, *agents)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        await until(lambda: _is_published(office, agents))

    assert set_aside(office) == {}


async def test_leases_are_published_while_telemetry_is_closed(
    office: Office, certificates: Certificates, broker: Mosquitto
) -> None:
    """While telemetry is closed, waiting leases are published, and the cause is named."""
    office.load_policy()
    agent, _ = office.enrol()
    office.accept(office.add_subject(), agent)
    other, _ = office.enrol()
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=131_072)
    guard = _ClosedGuard()
    want(office, other)

    async with publishing(office, mqtt, guard=guard):
        await until(lambda: _is_published(office, [agent]))
        await until(lambda: set_aside(office) == {"clear-telemetry": {Cause.TAMPERED}})
        guard.is_closed = False
        await until(
            lambda: not office.vault.fetch("SELECT FROM vault.agents WHERE applied < wanted")
        )

    assert set_aside(office) == {}
