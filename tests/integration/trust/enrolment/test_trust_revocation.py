"""A revocation reaches the broker: it refuses the gateway, and ends the gateway's connection."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiomqtt
import msgspec
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from runtime.settings import BrokerSettings, TlsSettings
from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fixtures.vault import Office
from trust.composition import App, now
from trust.config import CertificateSettings
from trust.domain.pki import Holder, common_name
from trust.enrolment.cutoff import Cutoff
from trust.enrolment.takeover import MqttConnectionControl
from vitalveil.doctor import revocation
from vitalveil.doctor.broker_file import Reader
from vitalveil.doctor.finding import Level
from wire import topics

pytestmark = [pytest.mark.database, pytest.mark.broker]
_numbers = itertools.count()
_AT_MOST_S = 10.0


class Site:
    """
    A broker with trust's certificates, and trust with a command that makes the broker
    reload.
    """

    def __init__(self, office: Office, folder: Path, *, hook: str) -> None:
        self.office = office
        self.pki = folder / f"revocation-{next(_numbers)}"
        office.app.authority.issue_services(self.pki, hosts=["127.0.0.1"], now=now())
        (self.pki / "broker").mkdir()
        self.broker = Mosquitto(folder=self.pki / "broker", pki=self.pki)
        self.broker.start()
        self.use(hook)

    def use(self, hook: str) -> None:
        """Configure a reload command that works, fails, is missing, or is not set."""
        child = self.broker.child
        command = {
            "works": ["kill", "-HUP", str(child.pid if child else 0)],
            "fails": ["false"],
            "is missing": [str(self.pki / "no-such-program")],
            "none": [],
        }[hook]
        self.office.app.close()
        self.office.app = App(
            msgspec.structs.replace(
                self.office.settings,
                broker=self.reached_by(self.pki, "trust"),
                certificates=CertificateSettings(
                    crl_file=self.pki / "crl.pem", reload_command=command, reload_timeout_s=5.0
                ),
            )
        )

    def reached_by(self, bundle: Path, name: str = "agent") -> BrokerSettings:
        """Return the settings with which the holder of *bundle* connects to the broker."""
        tls = TlsSettings(bundle / "ca.crt", bundle / f"{name}.crt", bundle / f"{name}.key")
        return BrokerSettings(tls=tls, port=self.broker.port)

    def client(self, agent: str, bundle: Path, will: aiomqtt.Will) -> aiomqtt.Client:
        """Return a client of *agent*, not connected yet."""
        tls = self.reached_by(bundle).tls
        return aiomqtt.Client(
            "127.0.0.1", self.broker.port, identifier=agent,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=client_context(tls, section="broker.tls"), timeout=2, will=will,
        )  # fmt: skip

    async def gets_in(self, agent: str, bundle: Path) -> bool:
        """
        Tell whether the broker accepts *agent*; False if it says that the certificate is
        revoked.
        """
        key = load_pem_private_key((bundle / "agent.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        certificate = x509.load_pem_x509_certificate((bundle / "agent.crt").read_bytes())
        assert common_name(certificate) == agent
        door = MqttConnectionControl(self.reached_by(bundle))
        return await door.lets_in(Holder(key, certificate))

    async def revoke(self, agent: str) -> dict[str, object]:
        """Revoke *agent* in a thread, so that the event loop continues."""
        # If two lists have the same second, OpenSSL may keep the older one.
        await asyncio.sleep(1.1)
        return await asyncio.to_thread(self.office.run, "pki", "revoke", agent, "--yes")

    def uncut(self) -> list[tuple[object, ...]]:
        """Return the revoked agents whose connections were not ended yet."""
        return self.office.vault.fetch(
            "SELECT agent FROM vault.agents WHERE revoked_at IS NOT NULL AND cut_at IS NULL"
        )


@pytest.fixture
def site(office: Office, run_folder: Path) -> Iterator[Site]:
    """A site whose reload command works."""
    made = Site(office, run_folder, hook="works")
    yield made
    made.broker.kill()


class Gateway:
    """A connected gateway that publishes many times a second, until its connection ends."""

    def __init__(self, client: aiomqtt.Client, agent: str) -> None:
        self.client = client
        self.agent = agent
        self.ended_at: float | None = None

    async def run(self) -> None:
        """Publish until the connection ends."""
        with contextlib.suppress(aiomqtt.MqttError):
            while True:
                await self.client.publish(topics.observations(self.agent), b"x" * 200, qos=0)
                await asyncio.sleep(0.005)
        self.ended_at = time.monotonic()


@contextlib.asynccontextmanager
async def live(site: Site, agent: str, bundle: Path) -> AsyncIterator[Gateway]:
    """Yield a gateway that publishes, has a retained state and a will."""
    will = aiomqtt.Will(topics.state(agent), b'{"online":false}', qos=1, retain=True)
    client = site.client(agent, bundle, will)
    await client.__aenter__()
    await client.publish(topics.state(agent), b'{"online":true}', qos=1, retain=True)
    gateway = Gateway(client, agent)
    running = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with contextlib.suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


async def until(condition: Callable[[], bool], *, within_s: float = _AT_MOST_S) -> None:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        await asyncio.sleep(0.01)


async def states(site: Site) -> set[str]:
    """Return the topics of all states that the broker retains."""
    found = set()
    trust = site.reached_by(site.pki, "trust")
    async with aiomqtt.Client(
        "127.0.0.1", site.broker.port, identifier="trust",
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=client_context(trust.tls, section="broker.tls"), timeout=5,
    ) as client:  # fmt: skip
        await client.subscribe(topics.ALL_STATES, qos=1)

        async def listen() -> None:
            async for message in client.messages:
                found.add(str(message.topic))

        listening = asyncio.create_task(listen())
        await asyncio.wait({listening}, timeout=0.5)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return found


async def test_a_live_connection_is_cut(site: Site) -> None:
    """
    A revoked gateway is disconnected and refused, and the broker deletes its state and
    session.
    """
    (ada, ada_bundle), (bob, bob_bundle) = site.office.enrol(), site.office.enrol()
    async with live(site, ada, ada_bundle) as gateway, live(site, bob, bob_bundle) as other:
        await asyncio.sleep(0.2)
        assert topics.state(ada) in await states(site)
        begun_at = time.monotonic()

        reply = await site.revoke(ada)

        assert reply["connected"] == "no more", reply["next"]
        assert str(reply["next"]).startswith("nothing:")
        await until(lambda: gateway.ended_at is not None)
        assert gateway.ended_at is not None
        sys.stdout.write(f"cut {gateway.ended_at - begun_at - 1.1:.2f} s after `pki revoke`\n")
        assert not await site.gets_in(ada, ada_bundle)
        assert other.ended_at is None, "nobody else is disconnected"
        assert await states(site) == {topics.state(bob)}
    assert site.uncut() == []
    assert await site.gets_in(bob, bob_bundle)


@pytest.mark.parametrize("hook", ["fails", "is missing", "none"])
async def test_what_is_pending_is_said_and_done_later(site: Site, hook: str) -> None:
    """
    If the broker does not read the list, the command says so, and the daemon continues
    to try.
    """
    site.use(hook)
    agent, bundle = site.office.enrol()
    async with live(site, agent, bundle) as gateway:
        reply = await site.revoke(agent)

        assert (reply["stored"], reply["connected"]) == ("no more", "pending")
        assert "it may be connected" in str(reply["next"])
        assert site.uncut() == [(agent,)]
        assert gateway.ended_at is None
        assert site.office.telemetry.fetch(
            "SELECT revoked_at IS NOT NULL FROM vv.agents WHERE agent = %s", agent
        ) == [(True,)], "ingest refuses it in any case"

        site.use("works")
        await asyncio.sleep(1.1)
        cut = await asyncio.to_thread(site.office.app.cutoff().run, is_due=False)

        assert (cut.agents, cut.pending) == ([agent], [])
        await until(lambda: gateway.ended_at is not None)
        assert not await site.gets_in(agent, bundle)


def _doctor(site: Site) -> dict[str, str]:
    """Return the doctor's findings about revocation, by their code."""
    server = site.office.vault.server
    dsn = f"host=127.0.0.1 port={server.port} dbname={site.office.vault.name} user=vv_trust"
    listed = site.pki / "crl.pem"
    with psycopg.connect(dsn, password=server.password, autocommit=True) as connection:
        found = revocation.look(
            connection, written=listed, reader=Reader((listed,), "root"),
            keys=site.office.settings.keys.folder, now=now(),
        )  # fmt: skip
        return {one.code: one.text for one in found if one.level is not Level.SOUND}


async def test_the_doctor_sees_who_is_not_cut_off(site: Site) -> None:
    """
    The doctor names a gateway until its connection is ended, and an old list that was
    put back.
    """
    site.use("fails")
    (agent, _), before = site.office.enrol(), (site.pki / "crl.pem").read_bytes()
    assert _doctor(site) == {}
    await site.revoke(agent)

    assert list(found := _doctor(site)) == ["trust-uncut"]
    assert agent in found["trust-uncut"]

    site.use("works")
    await asyncio.sleep(1.1)
    await asyncio.to_thread(site.office.app.cutoff().run)
    assert _doctor(site) == {}

    (site.pki / "crl.pem").write_bytes(before)
    assert list(found := _doctor(site)) == ["trust-revocations"]
    assert agent in found["trust-revocations"]


async def test_an_operator_who_tells_the_broker_is_enough(site: Site) -> None:
    """
    Without a reload command the list is not rewritten until the broker has read it, which is then
    noticed.
    """
    site.use("none")
    agent, bundle = site.office.enrol()
    async with live(site, agent, bundle) as gateway:
        await site.revoke(agent)
        await asyncio.sleep(1.1)
        cutoff = site.office.app.cutoff()
        first = await asyncio.to_thread(cutoff.run, is_due=False)
        assert first.pending == [agent]
        assert site.broker.child is not None
        os.kill(site.broker.child.pid, signal.SIGHUP)

        second = await asyncio.to_thread(cutoff.run, is_due=False)

        assert second.agents == [agent]
        await until(lambda: gateway.ended_at is not None)


async def test_a_broker_that_is_away_is_not_taken_for_one_that_refuses(site: Site) -> None:
    """
    A revocation while the broker is down is pending; after the broker's start the gateway is
    refused.
    """
    agent, bundle = site.office.enrol()
    site.broker.kill()
    site.use("fails")

    reply = await asyncio.to_thread(site.office.run, "pki", "revoke", agent, "--yes")

    assert reply["connected"] == "pending"
    assert site.uncut() == [(agent,)]
    site.broker.start()
    site.use("works")
    assert not await site.gets_in(agent, bundle), "it read the list when it started"
    assert (await asyncio.to_thread(site.office.app.cutoff().run)).agents == [agent]


async def test_the_list_keeps_one_probe_and_every_gateway(site: Site) -> None:
    """
    However often it is written, the list has each revoked certificate and one probe
    certificate.
    """
    agents = [site.office.enrol()[0] for _ in range(2)]
    cutoff: Cutoff = site.office.app.cutoff()
    for agent in agents:
        await site.revoke(agent)
    for _ in range(3):
        await asyncio.to_thread(cutoff.run)

    written = x509.load_pem_x509_crl((site.pki / "crl.pem").read_bytes())
    listed = [entry.serial_number for entry in written]

    assert len(listed) == len(agents) + 1
    assert sum(serial < 1 << 64 for serial in listed) == 1
