"""
A broker that follows MQTT 5 in unusual ways: small limits, refused subscriptions and
publications.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator

import mqtt5
import pytest

from edge_agent.errors import BrokerError
from edge_agent.ports import Connection
from edge_agent.uplink.publisher import AiomqttBroker, AiomqttConnection
from runtime.settings import BrokerSettings
from runtime.tls_identity import TlsIdentity
from tests.fixtures.pki import Certificates

_AGENT = "0" * 16


class OddBroker:
    """
    One end of one connection, over TLS. Holds publications until `let_go`.

    Args:
        receive_max: How many unacknowledged publications it accepts.

        suback: The reason code for a subscription.

        puback: The reason code for a publication.
    """

    def __init__(
        self,
        *,
        receive_max: int = 65_535,
        suback: mqtt5.SubAckReasonCode = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
        puback: mqtt5.PubAckReasonCode = mqtt5.PubAckReasonCode.SUCCESS,
    ) -> None:
        self._receive_max, self._suback, self._puback = receive_max, suback, puback
        self.held: list[mqtt5.PublishPacket] = []
        self.most_held = 0
        self._has_some = asyncio.Event()
        self._gone = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serving(self, certificates: Certificates) -> AsyncIterator[AiomqttBroker]:
        """Serve while the context is open; yield the settings with which the agent connects."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = certificates.folder
        context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        tls = certificates.client(_AGENT)
        settings = BrokerSettings(tls=tls, port=server.sockets[0].getsockname()[1])
        try:
            yield AiomqttBroker(settings, TlsIdentity(tls), agent=_AGENT)
        finally:
            server.close()
            await self._gone.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer, buffer = writer, b""
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                buffer += data
                while buffer:
                    try:
                        packet, size = mqtt5.read(memoryview(buffer))
                    except IndexError:
                        break
                    buffer = buffer[size:]
                    self._take(packet)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._gone.set()

    def _take(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.ConnectPacket():
                self._writer.write(mqtt5.ConnAckPacket(receive_max=self._receive_max).write())
            case mqtt5.SubscribePacket():
                self._writer.write(mqtt5.SubAckPacket(packet.packet_id, [self._suback]).write())
            case mqtt5.PublishPacket():
                self.held.append(packet)
                self.most_held = max(self.most_held, len(self.held))
                self._has_some.set()

    async def let_go(self) -> None:
        """Wait for publications, and acknowledge all of them."""
        await self._has_some.wait()
        self._has_some.clear()
        held, self.held = self.held, []
        for packet in held:
            assert packet.packet_id is not None
            answer = mqtt5.PubAckPacket(packet.packet_id, reason_code=self._puback)
            self._writer.write(answer.write())


async def publish(broker: OddBroker, connection: Connection, count: int) -> None:
    """Publish this many messages at once, while the broker acknowledges them bit by bit."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        answering = group.create_task(answer(broker))
        async with asyncio.TaskGroup() as publishing:
            for _ in range(count):
                publishing.create_task(connection.publish_envelope(os.urandom(100)))
        answering.cancel()


async def answer(broker: OddBroker) -> None:
    """Acknowledge each publication a moment after its arrival."""
    while True:
        await asyncio.sleep(0.02)
        await broker.let_go()


@pytest.mark.parametrize("receive_max", [1, 3, 100])
async def test_no_more_at_once_than_the_broker_takes(
    certificates: Certificates, receive_max: int
) -> None:
    """The agent never exceeds the broker's receive maximum, and all messages arrive."""
    broker = OddBroker(receive_max=receive_max)
    async with broker.serving(certificates) as known, known.connect(will=b"") as connection:
        await publish(broker, connection, 40)
    assert 0 < broker.most_held <= min(receive_max, 20)


async def test_a_refused_subscription_is_no_connection(certificates: Certificates) -> None:
    """If the subscription to leases is refused, the agent does not count as connected."""
    broker = OddBroker(suback=mqtt5.SubAckReasonCode.NOT_AUTHORIZED)
    async with broker.serving(certificates) as known, known.connect(will=b"") as connection:
        with pytest.raises(BrokerError, match="refused"):
            async with asyncio.timeout(60):
                await anext(aiter(connection.downlinks()))


async def test_a_publication_that_the_broker_refuses_is_left_to_the_receipts(
    certificates: Certificates,
) -> None:
    """
    A refused publication does not end the connection; without a receipt it is published again
    later.
    """
    broker = OddBroker(puback=mqtt5.PubAckReasonCode.QUOTA_EXCEEDED)
    async with broker.serving(certificates) as known, known.connect(will=b"") as connection:
        await publish(broker, connection, 3)
        await publish(broker, connection, 3)


class Swallowing:
    """A client that swallows a cancellation, as `wait_for` may do before Python 3.12."""

    receive_max = 20

    async def publish(self, *_: object, **__: object) -> None:
        """Publish nothing, and return normally when cancelled."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def test_who_is_to_end_ends() -> None:
    """The agent stops on cancellation, even if the client swallows it."""
    connection = AiomqttConnection(Swallowing(), _AGENT)  # type: ignore[arg-type] # in its place

    async def report_for_ever() -> None:
        while True:
            await connection.publish_state(b"")

    reporting = asyncio.create_task(report_for_ever())
    await asyncio.sleep(0)
    reporting.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait([reporting])
    assert reporting.cancelled()
