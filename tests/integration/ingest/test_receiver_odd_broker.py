"""The receiver with a broker that ends connections, refuses receipts, and checks certificates."""

import asyncio
import contextlib
import functools
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import mqtt5
from cryptography import x509

from ingest.mqtt.receiver import MqttReceiver
from ingest.mqtt.session import SessionSettings
from runtime.backoff import Backoff
from runtime.settings import BrokerSettings, TlsSettings
from runtime.tls_identity import TlsIdentity
from tests.fixtures.ingest import until
from tests.fixtures.pki import Certificates

_GRANTED = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE


class OddBroker:
    """
    Accepts every client over TLS, and records the serial number of each client certificate.

    Args:
        ends: Whether it ends a connection after a subscription.
    """

    def __init__(self, certificates: Certificates, *, ends: bool = False) -> None:
        self._certificates = certificates
        self._ends = ends
        self._serving: list[asyncio.Task[None]] = []
        self.serials: list[int] = []
        self.writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve while the context is open; yield the port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = self._certificates.folder
        context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.end_all()
            await asyncio.gather(*self._serving)

    def has_held(self, receiver: MqttReceiver, count: int) -> bool:
        """Tell whether *receiver* is live over connection number *count*."""
        return receiver.is_live and len(self.serials) == count

    def end_all(self) -> None:
        """End every connection."""
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.append(task)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.serials.append(x509.load_der_x509_certificate(shown).serial_number)
        self.writers.append(writer)
        buffer = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                buffer += data
                while buffer:
                    try:
                        packet, size = mqtt5.read(memoryview(buffer))
                    except IndexError:
                        break
                    buffer = buffer[size:]
                    self._answer(packet, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _answer(self, packet: mqtt5.Packet, writer: asyncio.StreamWriter) -> None:
        if isinstance(packet, mqtt5.ConnectPacket):
            writer.write(mqtt5.ConnAckPacket().write())
        elif isinstance(packet, mqtt5.SubscribePacket):
            codes = [_GRANTED] * len(packet.topic_filters)
            writer.write(mqtt5.SubAckPacket(packet.packet_id, codes).write())
            if self._ends:
                writer.close()
        elif isinstance(packet, mqtt5.PublishPacket):
            assert packet.packet_id is not None
            no = mqtt5.PubAckReasonCode.NOT_AUTHORIZED
            writer.write(mqtt5.PubAckPacket(packet.packet_id, reason_code=no).write())


@contextlib.asynccontextmanager
async def receiving(
    port: int,
    tls: TlsSettings,
    backoff: Backoff,
    on_refused: Callable[[], None] = lambda: None,
) -> AsyncIterator[MqttReceiver]:
    """Run a receiver until the context closes."""
    receiver = MqttReceiver(
        broker=BrokerSettings(tls=tls, port=port),
        identity=TlsIdentity(tls),
        session=SessionSettings(),
        backoff=backoff,
        now_ms=lambda: 0,
        on_change=lambda is_live: None,
        on_refused=on_refused,
    )
    task = asyncio.create_task(receiver.run())
    try:
        yield receiver
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def quick(*, longest_s: float = 10.0) -> Backoff:
    """Return short pauses."""
    return Backoff(random.Random(1).random, first_s=0.001, longest_s=longest_s)


async def test_connection_that_ends_at_once_is_a_failure(certificates: Certificates) -> None:
    """
    Pauses grow if the broker accepts each connection and ends it at once, as for two clients of
    one name.
    """
    broker, backoff = OddBroker(certificates, ends=True), quick()
    async with broker.serving() as port, receiving(port, certificates.client("ingest"), backoff):
        await until(lambda: len(broker.serials) >= 5)
    assert backoff.failures >= 4


async def test_connection_that_held_is_forgiven(certificates: Certificates) -> None:
    """After a connection that lasted, the first pause is short again."""
    broker, backoff = OddBroker(certificates), quick(longest_s=0.05)
    async with (
        broker.serving() as port,
        receiving(port, certificates.client("ingest"), backoff) as receiver,
    ):
        for count in range(1, 5):
            await until(functools.partial(broker.has_held, receiver, count))
            # Longer than the longest pause, so that the next attempt has been made.
            await asyncio.sleep(0.2)
            broker.end_all()
        await until(lambda: len(broker.serials) == 5)
    assert backoff.failures == 1


async def test_renewed_certificate_is_shown_at_the_next_connection(
    certificates: Certificates, tmp_path: Path
) -> None:
    """
    A renewed certificate is used for the next connection without a restart, and the metric shows
    its end.
    """
    files = {}
    for name in ("renewed-once", "renewed-twice"):
        tls = certificates.client(name)
        files[name] = (tls.certificate_file.read_bytes(), tls.key_file.read_bytes())
    own = TlsSettings(certificates.client("ingest").ca_file, tmp_path / "crt", tmp_path / "key")
    serials = []
    broker = OddBroker(certificates)

    def write(name: str, stamp: int) -> None:
        for path, data in zip((own.certificate_file, own.key_file), files[name], strict=True):
            path.touch(mode=0o600)
            path.write_bytes(data)
            os.utime(path, ns=(stamp, stamp))
        serials.append(x509.load_pem_x509_certificate(files[name][0]).serial_number)

    write("renewed-once", 1)
    async with broker.serving() as port, receiving(port, own, quick()) as receiver:
        await until(lambda: receiver.is_live)
        write("renewed-twice", 2)
        broker.end_all()
        await until(lambda: len(broker.serials) == 2)
    assert broker.serials == serials


async def test_receipts_that_are_not_taken_are_counted(certificates: Certificates) -> None:
    """Receipts that the broker's access rules forbid are counted."""
    refused: list[int] = []
    broker = OddBroker(certificates)
    async with (
        broker.serving() as port,
        receiving(
            port, certificates.client("ingest"), quick(), lambda: refused.append(1)
        ) as receiver,
    ):
        await until(lambda: receiver.is_live)
        for topic in "abc":
            receiver.publish(topic, b"r")
        await until(lambda: len(refused) == 3)
