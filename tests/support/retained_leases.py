"""Leases as a gateway receives them from the broker, and a subject who has one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiomqtt

from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office, open_lease
from wire import topics
from wire.lease import Lease


async def retained(
    broker: Mosquitto, certificates: Certificates, agent: str, bundle: Path
) -> AsyncGenerator[Lease, None]:
    """Yield the leases that *agent* receives from the broker, the retained and later ones."""
    settings = broker_settings(broker, certificates, agent)
    async with aiomqtt.Client(
        settings.host,
        settings.port,
        identifier=agent,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=client_context(settings.tls, section="broker.tls"),
    ) as client:
        await client.subscribe(topics.lease(agent), qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            yield open_lease(message.payload, agent, bundle)


async def next_lease(leases: AsyncIterator[Lease], *, above: int = 0) -> Lease:
    """Return the first of *leases* with a version above *above*."""
    async with asyncio.timeout(15):
        async for lease in leases:
            if lease.version > above:
                return lease
    raise AssertionError("the broker went away")


def measured_at_home(office: Office) -> tuple[str, str, Path]:
    """Return a subject who has accepted, their agent, and its bundle."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    office.accept(subject, agent)
    return subject, agent, bundle
