"""Padded leases with a real broker: only for gateways that declare that they read them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office, Refusal
from tests.support.poisons import POISONS, set_aside
from tests.support.publishing import publishing, until
from trust.reconcile.mqtt_broker import MqttBroker
from wire import state, topics
from wire.state import State

pytestmark = [pytest.mark.database, pytest.mark.broker]

READS = state.encode(State(True, "test", reads=["receipt-2", "lease-2"]))
READS_NOT = state.encode(State(True, "0.1.0"))


@contextlib.asynccontextmanager
async def running(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> AsyncIterator[None]:
    """Run a lease publisher on *broker* while the context is open."""
    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=131_072)
    async with publishing(office, mqtt):
        yield


async def say(broker: Mosquitto, certificates: Certificates, agent: str, *payloads: bytes) -> None:
    """Publish *payloads* as the retained state of *agent*."""
    settings = broker_settings(broker, certificates, agent)
    async with aiomqtt.Client(
        settings.host,
        settings.port,
        identifier=agent,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=client_context(settings.tls, section="broker.tls"),
    ) as client:
        for payload in payloads:
            await client.publish(topics.state(agent), payload, qos=1, retain=True)


async def published(broker: Mosquitto, certificates: Certificates, agent: str) -> bytes:
    """Return the lease that the broker retains for *agent*."""
    settings = broker_settings(broker, certificates, agent)
    async with (
        asyncio.timeout(15),
        aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=agent,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=client_context(settings.tls, section="broker.tls"),
        ) as client,
    ):
        await client.subscribe(topics.lease(agent), qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return message.payload
    raise AssertionError("the broker went away")


def form(sealed: bytes, agent: str, bundle: Path) -> int:
    """Return the version of the form of a lease."""
    key = serialization.load_pem_private_key((bundle / "lease.key").read_bytes(), None)
    assert isinstance(key, X25519PrivateKey)
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    opened = suite.decrypt(sealed, key, info=b"vitalveil lease v1\x00" + agent.encode())
    found: list[object] = msgspec.msgpack.decode(opened)
    assert len(found) == (4 if found[0] == 2 else 3)
    assert isinstance(found[0], int)
    return found[0]


def inhabit(office: Office, people: int) -> tuple[str, Path]:
    """Return a gateway at which this many people are measured."""
    agent, bundle = office.enrol()
    for number in range(people):
        office.accept(office.add_subject(), agent, binding=f"C0:FF:EE:00:00:0{number}")
    return agent, bundle


def is_padded(office: Office, agent: str) -> bool:
    """Tell whether a lease of *agent* was issued after its declaration, and is published."""
    query = """SELECT reads_padded_since IS NOT NULL AND applied = wanted
        AND published_version = lease_version FROM vault.agents WHERE agent = %s"""
    return office.vault.fetch(query, agent) == [(True,)]


async def test_the_length_of_a_lease_does_not_tell_how_many_people_there_are(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> None:
    """Leases for one person and for three have equal lengths at gateways that read padding."""
    office.load_policy()
    one, three = inhabit(office, 1), inhabit(office, 3)
    old_one, old_three = inhabit(office, 1), inhabit(office, 3)
    for agent, _ in (one, three):
        await say(broker, certificates, agent, READS)
    await say(broker, certificates, old_one[0], READS_NOT)

    async with running(office, broker, certificates):
        await until(lambda: is_padded(office, one[0]) and is_padded(office, three[0]))
        sealed = {
            agent: await published(broker, certificates, agent)
            for agent, _ in (one, three, old_one, old_three)
        }

    assert len(sealed[one[0]]) == len(sealed[three[0]])
    assert len(sealed[old_one[0]]) < len(sealed[old_three[0]])
    assert [form(sealed[a], a, b) for a, b in (one, three, old_one, old_three)] == [2, 2, 1, 1]
    assert [len(office.lease(*who).grants) for who in (one, three, old_one)] == [1, 3, 1]


async def test_who_is_upgraded_is_noticed_and_it_stays_until_an_operator_says_otherwise(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> None:
    """
    Once declared, padding stays: a state without the declaration, which anyone at the broker could
    publish, ends nothing.
    """
    office.load_policy()
    agent, bundle = inhabit(office, 1)
    is_published = "SELECT published_version = lease_version FROM vault.agents"

    async def unpad(period: str) -> None:
        before = office.lease(agent, bundle).version
        command = ("lease", "unpad", "--agent", agent, "--valid-for", period)
        assert (await asyncio.to_thread(office.run, *command))["agents"] == 1
        query = "SELECT published_version > %s FROM vault.agents"
        await until(lambda: office.vault.fetch(query, before) == [(True,)])

    async with running(office, broker, certificates):
        await until(lambda: office.vault.fetch(is_published) == [(True,)])
        assert form(await published(broker, certificates, agent), agent, bundle) == 1
        await say(broker, certificates, agent, READS)
        await until(lambda: is_padded(office, agent))
        await say(broker, certificates, agent, READS_NOT)
    async with running(office, broker, certificates):
        assert form(await published(broker, certificates, agent), agent, bundle) == 2
        await unpad("1h")
        assert form(await published(broker, certificates, agent), agent, bundle) == 1
        # The gateway was not replaced yet, or another client declares it: the operator's setting
        # holds for its time.
        await say(broker, certificates, agent, READS)
    other, _ = inhabit(office, 1)
    await say(broker, certificates, other, READS)
    async with running(office, broker, certificates):
        await until(lambda: is_padded(office, other))
        assert form(await published(broker, certificates, agent), agent, bundle) == 1
    office.vault.execute("UPDATE vault.agents SET unpadded_until = now() WHERE agent = %s", agent)
    async with running(office, broker, certificates):
        await until(lambda: is_padded(office, agent))
        assert form(await published(broker, certificates, agent), agent, bundle) == 2

    assert office.run("lease", "unpad", "--all")["agents"] == 2
    with pytest.raises(Refusal, match="agent"):
        office.run("lease", "unpad", "--agent", "0" * 16)


async def test_what_is_no_state_ends_nothing(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> None:
    """Invalid and oversized states affect no other gateway; neither does a damaged row."""
    office.load_policy()
    agent, bundle = inhabit(office, 1)
    hostile, _ = inhabit(office, 1)
    poisoned, _ = inhabit(office, 1)
    # The row of this gateway cannot be changed.
    office.vault.execute(
        "UPDATE vault.agents SET wanted = 9223372036854775807, applied = wanted WHERE agent = %s",
        poisoned,
    )
    payloads = (b"\xff" * 130_000, b"[" * 8000, b"", *[b"nonsense"] * 2000, b"{" * 100_000)
    await say(broker, certificates, hostile, *payloads)
    for one in (agent, poisoned):
        await say(broker, certificates, one, READS)

    async with running(office, broker, certificates):
        await say(broker, certificates, hostile, *payloads)
        await until(lambda: is_padded(office, agent))
        assert form(await published(broker, certificates, agent), agent, bundle) == 2

    assert set_aside(office) == {}
    assert not office.vault.fetch(
        "SELECT FROM vault.agents WHERE agent <> %s AND reads_padded_since IS NOT NULL", agent
    )


async def test_a_broker_sends_trust_no_more_than_a_state(
    broker: Mosquitto, certificates: Certificates
) -> None:
    """
    Trust announces a maximum packet size to the broker, so that large retained messages are not
    sent to it.
    """
    agent = "0123456789abcdef"
    heard: list[bytes] = []
    came = asyncio.Event()

    def hear(topic: str, payload: bytes) -> None:
        assert topic == topics.state(agent)
        heard.append(payload)
        if payload == READS:
            came.set()

    mqtt = MqttBroker(broker_settings(broker, certificates, "trust"), max_packet_bytes=131_072)
    async with mqtt.connect() as channel:
        hearing = asyncio.create_task(channel.hear(hear))
        async with asyncio.timeout(15):
            while not came.is_set():
                largest = b" " * state.MAX_STATE_BYTES
                await say(broker, certificates, agent, b" " * 100_000, largest, READS)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)

    assert {len(payload) for payload in heard} <= {state.MAX_STATE_BYTES, len(READS)}


async def test_no_lease_is_lost_for_its_padding(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> None:
    """A lease as large as the broker accepts is issued in the padded form without padding."""
    office.load_policy()
    agent, bundle = inhabit(office, 1)
    POISONS["a lease that is too large"][0](office, agent, "")
    office.run("lease", "publish", "--renew", agent)
    query = "SELECT octet_length(lease) FROM vault.agents WHERE agent = %s"
    large = office.vault.fetch(query, agent)[0][0]
    assert isinstance(large, int)
    lease = msgspec.structs.replace(office.settings.lease, max_packet_bytes=large + 300)
    office.settings = msgspec.structs.replace(office.settings, lease=lease)
    await say(broker, certificates, agent, READS)

    async with running(office, broker, certificates):
        await until(lambda: is_padded(office, agent))

    sealed = await published(broker, certificates, agent)
    assert form(sealed, agent, bundle) == 2
    assert len(sealed) - large < 16
    assert set_aside(office) == {}
