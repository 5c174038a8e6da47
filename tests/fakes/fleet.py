"""The parts around a simulated gateway of a fleet."""

import asyncio
import random

import mqtt5
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.link import MqttLink
from simulators.fleet.report.journal import Journal
from simulators.fleet.report.tally import Tally
from wire.topics import observations

FOREIGN_HANDLE = b"f" * 16
FOREIGN_TOPIC = observations("f" * 16)


class Bench:
    """A `World` with its keys, and a clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.trust_private = Ed25519PrivateKey.generate()
        self.ingest_private = X25519PrivateKey.generate()
        self.trust_key = self.trust_private.public_key()
        self.ingest_key = self.ingest_private.public_key()
        self.journal = Journal()
        self.tally = Tally()
        self.draw = random.Random(1)
        self.state_every_s = 1e9
        self.at = 1_767_225_600.0
        self.up: list[Gateway] = []
        self.down: list[Gateway] = []

    def now(self) -> float:
        return self.at

    def neighbour_of(self, gateway: Gateway) -> tuple[bytes, str]:
        return FOREIGN_HANDLE, FOREIGN_TOPIC

    def came_up(self, gateway: Gateway) -> None:
        self.up.append(gateway)

    def went_down(self, gateway: Gateway) -> None:
        self.down.append(gateway)


class MemoryTransport(asyncio.Transport):
    """A transport that keeps the bytes written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.records = 0
        self.is_aborted = False
        self.pauses: list[bool] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.records += 1

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.pauses.append(True)

    def resume_reading(self) -> None:
        self.pauses.append(False)


class MemoryBroker:
    """
    The broker's end of a link: MQTT packets without TLS and without a socket.

    Args:
        owner: The gateway.
    """

    def __init__(self, owner: Gateway) -> None:
        self.link = MqttLink(owner)
        self.transport = MemoryTransport()
        owner.link = self.link
        self.link.connection_made(self.transport)

    def exchange(self) -> list[mqtt5.Packet]:
        """Return the packets that the gateway has written since the last call."""
        data = bytes(self.transport.written)
        self.transport.written.clear()
        return _packets(data)

    def send(self, *packets: bytes) -> list[mqtt5.Packet]:
        """Send *packets*, each in a read of its own; return what the gateway writes."""
        for packet in packets:
            self.link.data_received(packet)
        return self.exchange()


def _packets(data: bytes) -> list[mqtt5.Packet]:
    found = []
    while data:
        packet, length = mqtt5.read(memoryview(data))
        found.append(packet)
        data = data[length:]
    return found
