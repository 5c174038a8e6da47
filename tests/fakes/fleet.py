"""Real code that stands in for what a fleet's gateway stands among."""

import random
import ssl

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
    """A `World` with its keys at hand and a clock that only moves when told to."""

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


class MemoryLine:
    """Keeps what is sent on it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_aborted = False
        self.is_closed = False
        self.is_reading = True
        self.looks = 0
        self.wakes_at = 1

    def send(self, data: bytes) -> None:
        self.written += data

    def look(self) -> None:
        self.looks += 1

    def wake_at(self, count: int) -> None:
        self.wakes_at = count

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


class MemoryBroker:
    """
    The other end of a link, byte for byte: TLS and MQTT without a socket.

    Args:
        server: Its TLS context.

        client: The gateway's.

        owner: Whose link it is.
    """

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, owner: Gateway) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_secure = False
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
        self.link = MqttLink(owner, tls, incoming, outgoing)
        self.line = MemoryLine()
        self.link.line = self.line
        owner.link = self.link
        self.link.opened()

    def exchange(self) -> list[mqtt5.Packet]:
        """Carry bytes both ways until none are left; return the packets that came."""
        plain = bytearray()
        while True:
            self._incoming.write(bytes(self.line.written))
            self.line.written.clear()
            try:
                if not self._is_secure:
                    self._tls.do_handshake()
                    self._is_secure = True
                while True:
                    if not (data := self._tls.read(65_536)):
                        break
                    plain += data
            except ssl.SSLWantReadError:
                pass
            reply = self._outgoing.read()
            if reply:
                self.link.heard(reply)
            if not self.line.written:
                return _packets(bytes(plain))

    def send(self, *packets: bytes) -> list[mqtt5.Packet]:
        """Send *packets*, in as many TLS records; return what comes back."""
        for packet in packets:
            self._tls.write(packet)
        return self.exchange()


def _packets(data: bytes) -> list[mqtt5.Packet]:
    found = []
    while data:
        packet, length = mqtt5.read(memoryview(data))
        found.append(packet)
        data = data[length:]
    return found
