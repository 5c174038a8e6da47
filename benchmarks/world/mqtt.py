"""The generator's connections to the broker: sessions, and the messages that fill them."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import mqtt5
import msgspec

from benchmarks.errors import BenchError
from benchmarks.world.fleet import Message
from runtime.settings import TlsSettings
from runtime.tls import client_context

EXPIRY_S = 3600
ALL = "vv1/obs/+/+"
_WINDOW = 900
"""Publications in flight; fewer than the broker announces."""


class Client(msgspec.Struct, frozen=True):
    """The address and certificate with which a client connects to the broker."""

    name: str
    port: int
    pki: Path

    @property
    def files(self) -> TlsSettings:
        """The files of its certificate."""
        return TlsSettings(
            ca_file=self.pki / "ca.crt",
            certificate_file=self.pki / f"{self.name}.crt",
            key_file=self.pki / f"{self.name}.key",
        )

    def context(self) -> ssl.SSLContext:
        """The TLS context of a client."""
        return client_context(self.files, section="broker.tls")


class Link(asyncio.Protocol):
    """An MQTT 5 connection that passes its packets to a function."""

    def __init__(self, client_id: str, *, clean_start: bool, expiry_s: int) -> None:
        self._connect = mqtt5.ConnectPacket(
            client_id,
            clean_start=clean_start,
            session_expiry_interval=expiry_s,
            receive_max=1000,
            keep_alive=0,
        )
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_published: Callable[[list[mqtt5.PublishPacket]], None] = lambda packets: None
        self.on_acknowledged: Callable[[int], None] = lambda count: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._connect.write())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if not self.connected.done():
            self.connected.set_exception(BenchError("The broker closed the connection."))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        acknowledged, position = 0, 0
        published: list[mqtt5.PublishPacket] = []
        with memoryview(self._buffer) as view:
            while True:
                try:
                    packet, size = mqtt5.read(view[position:])
                except IndexError:
                    break
                position += size
                if isinstance(packet, mqtt5.PublishPacket):
                    published.append(packet)
                elif isinstance(packet, mqtt5.PubAckPacket):
                    acknowledged += 1
                elif isinstance(packet, mqtt5.ConnAckPacket):
                    self.connected.set_result(None)
                elif isinstance(packet, mqtt5.SubAckPacket):
                    self.subscribed.set_result(None)
        del self._buffer[:position]
        if published:
            self.on_published(published)
        if acknowledged:
            self.on_acknowledged(acknowledged)

    def write(self, data: bytes) -> None:
        """Send *data*, the bytes of whole packets."""
        if self.transport is not None:
            self.transport.write(data)

    def acknowledge(self, packets: Sequence[mqtt5.PublishPacket]) -> None:
        """Acknowledge *packets* in one write."""
        self.write(
            b"".join(
                mqtt5.PubAckPacket(p.packet_id).write() for p in packets if p.packet_id is not None
            )
        )

    async def subscribe(self, topic_filters: Sequence[str]) -> None:
        """Subscribe; return when the broker confirms it."""
        self.write(
            mqtt5.SubscribePacket(
                1, [mqtt5.TopicFilter(f, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for f in topic_filters]
            ).write()
        )
        await self.subscribed

    async def close(self) -> None:
        """Send DISCONNECT, and close the connection."""
        if self.transport is not None:
            self.write(mqtt5.DisconnectPacket().write())
            self.transport.close()
            await self.lost


async def connect(client: Client, *, clean_start: bool = True, expiry_s: int = 0) -> Link:
    """Return a connection of *client* that the broker has accepted."""
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(
        lambda: Link(client.name, clean_start=clean_start, expiry_s=expiry_s),
        "127.0.0.1",
        client.port,
        ssl=client.context(),
        server_hostname="127.0.0.1",
    )
    await link.connected
    return link


async def open_session(client: Client, topic_filters: Sequence[str] = (ALL,)) -> None:
    """Leave an empty persistent session of *client* with the broker, subscribed to the topics."""
    link = await connect(client, clean_start=True, expiry_s=EXPIRY_S)
    await link.subscribe(topic_filters)
    await link.close()


async def wipe_session(client: Client) -> None:
    """Make the broker delete the session of *client*, with all its messages."""
    await (await connect(client, clean_start=True, expiry_s=0)).close()


async def publish(link: Link, messages: Sequence[Message], *, rate: float | None = None) -> float:
    """
    Publish *messages* at QoS 1; return the worst delay behind the schedule, in seconds.

    Args:
        link: The connection of the generator.

        messages: Topics and payloads.

        rate: Messages a second, on a schedule that does not wait; None for as fast as the
            broker accepts them.

    Returns:
        The worst delay behind the schedule, s.
    """
    flow = _Flow(link)
    started_at, worst_s = time.perf_counter(), 0.0
    for first in range(0, len(messages), _CHUNK):
        if rate is not None:
            ahead_s = started_at + first / rate - time.perf_counter()
            worst_s = max(worst_s, -ahead_s)
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
        await flow.send(messages[first : first + _CHUNK])
    await flow.finish()
    return worst_s


_CHUNK = 50


class _Flow:
    """Keeps the publications in flight within the broker's window."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._in_flight = 0
        self._packet_id = 0
        self._moved = asyncio.Event()
        link.on_acknowledged = self._acknowledged

    def _acknowledged(self, count: int) -> None:
        self._in_flight -= count
        self._moved.set()

    async def _until(self, in_flight: int) -> None:
        while self._in_flight > in_flight:
            if self._link.lost.done():
                raise BenchError("The generator lost its connection to the broker.")
            self._moved.clear()
            async with asyncio.timeout(30):
                await self._moved.wait()

    async def send(self, messages: Sequence[Message]) -> None:
        """Publish *messages* as soon as there is room."""
        await self._until(_WINDOW - len(messages))
        packets = []
        for topic, payload in messages:
            self._packet_id = self._packet_id % 65_535 + 1
            packets.append(
                mqtt5.PublishPacket(
                    topic,
                    payload,
                    qos=mqtt5.QoS.AT_LEAST_ONCE,
                    packet_id=self._packet_id,
                    retain=topic.startswith("vv1/state/"),
                ).write()
            )
        self._in_flight += len(packets)
        self._link.write(b"".join(packets))

    async def finish(self) -> None:
        """Return when everything is acknowledged."""
        await self._until(0)
