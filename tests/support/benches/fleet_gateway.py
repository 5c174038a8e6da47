"""One gateway of a fleet beside a broker in memory."""

import mqtt5
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.tracks import ValueTrack
from simulators.fleet.scenario.plan import Act
from tests.fakes.fleet import Bench, MemoryBroker
from wire import agreement, topics
from wire import lease as wire_lease
from wire import receipt as wire_receipt
from wire.envelope import Body, decode_envelope
from wire.lease import Grant, Lease
from wire.policy import Rule
from wire.quantities import Code
from wire.receipt import SpoolReceipt
from wire.sealing import Opener

AGENT = "0123456789abcdef"
HANDLE = b"h" * 16
_TRACK = ValueTrack(Code.HEART_RATE, 1000, [60 + n for n in range(100)])


class Setting:
    """A gateway that is connected and has a lease."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.lease_private = X25519PrivateKey.generate()
        self.gateway = Gateway(
            7, AGENT, lease_key=self.lease_private.private_bytes_raw(), tracks=([_TRACK], 3),
            skew_ms=0, world=self.bench,
        )  # fmt: skip
        self.opener = Opener([self.bench.ingest_private])
        self.broker = self.connect()
        self.lease(1, HANDLE)

    def connect(self) -> MemoryBroker:
        """Connect, up to the SUBACK."""
        self.broker = MemoryBroker(self.gateway)
        (self.connect_packet,) = self.broker.exchange()
        (self.subscribe_packet,) = self.broker.send(mqtt5.ConnAckPacket(receive_max=100).write())
        self.after_suback = self.broker.send(
            mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * 2).write()
        )
        return self.broker

    def lease(self, version: int, handle: bytes | None, *, not_after_ms: int = 1 << 50) -> None:
        """Deliver a lease, with or without a grant."""
        grants = (
            [Grant(handle, ["AA"], [Rule(Code.HEART_RATE, interval_ms=1000)])] if handle else []
        )
        payload = wire_lease.encode(
            Lease(AGENT, version, 0, not_after_ms, grants),
            trust_key=self.bench.trust_private, agent_key=self.lease_private.public_key(),
        )  # fmt: skip
        self.down(topics.lease(AGENT), payload)

    def down(self, topic: str, payload: bytes) -> list[mqtt5.Packet]:
        """Send the gateway a message."""
        return self.broker.send(
            mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9).write()
        )

    def act(self, act: Act = Act.SEND) -> list[mqtt5.PublishPacket]:
        """Let the gateway do *act*, five seconds later; return what it published."""
        self.bench.at += 5
        self.gateway.act(act, 0, self.bench.at, 5.0)
        found = self.broker.exchange()
        return [p for p in found if isinstance(p, mqtt5.PublishPacket)]

    def proven(self, *spools: SpoolReceipt) -> bytes:
        """Return a receipt with ingest's proof."""
        lease_key = self.lease_private.public_key().public_bytes_raw()
        shared = agreement.of_ingest(self.bench.ingest_private, lease_key, AGENT)
        return wire_receipt.encode_proven(list(spools), [shared])

    def settle(self, through: int) -> None:
        """Send a receipt."""
        receipt = self.proven(SpoolReceipt(self.gateway.spool_id, through))
        self.down(topics.receipt(AGENT), receipt)

    def open(self, payload: bytes) -> Body:
        """Open an envelope as ingest does."""
        return self.opener.open(AGENT, decode_envelope(payload))
