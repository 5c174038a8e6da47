"""The lease publisher on a real broker: a lease that ends the connection, a closed telemetry."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from tests.support.poisons import POISONS, set_aside, want
from trust.composition import App
from trust.domain.units import Cause
from trust.errors import Tampered
from trust.metrics import Metrics
from trust.reconcile import mqtt_broker
from trust.reconcile.lease_publisher import LeasePublisher
from trust.reconcile.mqtt_broker import MqttBroker
from trust.reconcile.reconciler import Guard, Reconciler

pytestmark = [pytest.mark.database, pytest.mark.broker]

SMALL = 4096


class _ClosedGuard:
    """Keeps telemetry from being written to, until it is told otherwise."""

    is_closed = True

    def ensure(self) -> None:
        if self.is_closed:
            raise Tampered("a step of an erasure")


@contextlib.asynccontextmanager
async def _running(
    office: Office, broker: MqttBroker, *, guard: Guard | None = None
) -> AsyncIterator[None]:
    # Connections of its own, because it works in a thread.
    app = App(office.settings)
    reconciler = app.reconciler
    if guard is not None:
        reconciler = Reconciler(reconciler._unguarded, guard)
    publisher = LeasePublisher(
        app.vault,
        reconciler,
        broker,
        listen_to=office.settings.vault,
        metrics=Metrics(),
        repair_after=dt.timedelta(seconds=0.1),
    )
    stop = asyncio.Event()
    working = asyncio.create_task(publisher.run(stop))
    try:
        yield
    finally:
        stop.set()
        await working
        publisher.close()
        app.close()


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        # What is waited for happens in a database.
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _is_published(office: Office, agents: list[str]) -> bool:
    return not office.vault.fetch(
        "SELECT FROM vault.agents WHERE agent = ANY(%s) AND published_version < lease_version",
        agents,
    )


async def test_a_lease_that_ends_the_connection_is_found(
    office: Office, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By publishing alone: all others are published, also what is issued meanwhile."""
    office.load_policy()
    sound = sorted(office.enrol()[0] for _ in range(6))
    large, _ = office.enrol()
    for agent in (*sound, large):
        office.accept(office.add_subject(), agent)
    POISONS["a lease that is too large"][0](office, large, "")
    broker = Mosquitto(folder=tmp_path, pki=certificates.folder, max_packet_bytes=SMALL)
    broker.start()
    # As a broker that does not tell how large a packet may be.
    monkeypatch.setattr(mqtt_broker, "_allowed", lambda properties: 1 << 28)
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=1 << 28)

    try:
        async with _running(office, mqtt):
            await _until(lambda: _is_published(office, sound))
            await _until(lambda: set_aside(office) == {large: {Cause.CONNECTION_LOST}})
            want(office, *sound)
            await _until(
                lambda: not office.vault.fetch("SELECT FROM vault.agents WHERE applied < wanted")
            )
            await _until(lambda: _is_published(office, sound))
    finally:
        broker.kill()

    assert not _is_published(office, [large])


async def test_a_broker_that_restarts_sets_nobody_aside(
    office: Office, certificates: Certificates, broker: Mosquitto
) -> None:
    """Whatever was under way when the connection was lost is published on the next one."""
    office.load_policy()
    agents = [office.enrol()[0] for _ in range(4)]
    for agent in agents:
        office.accept(office.add_subject(), agent)
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=131_072)

    async with _running(office, mqtt):
        for _ in range(3):
            await _until(lambda: _is_published(office, agents))
            want(office, *agents)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        await _until(lambda: _is_published(office, agents))

    assert set_aside(office) == {}


async def test_leases_are_published_while_telemetry_is_closed(
    office: Office, certificates: Certificates, broker: Mosquitto
) -> None:
    """What keeps telemetry from being written to is named; leases that wait reach the broker."""
    office.load_policy()
    agent, _ = office.enrol()
    office.accept(office.add_subject(), agent)
    other, _ = office.enrol()
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=131_072)
    guard = _ClosedGuard()
    want(office, other)

    async with _running(office, mqtt, guard=guard):
        await _until(lambda: _is_published(office, [agent]))
        await _until(lambda: set_aside(office) == {"clear-telemetry": {Cause.TAMPERED}})
        guard.is_closed = False
        await _until(
            lambda: not office.vault.fetch("SELECT FROM vault.agents WHERE applied < wanted")
        )

    assert set_aside(office) == {}
