"""The state messages of a gateway of a fleet, and the keys that prove them. No I/O."""

from typing import Final, Protocol

import mqtt5
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from runtime.version import VERSION
from simulators.fleet.gateway.author import Author
from simulators.fleet.gateway.memory_spool import MemorySpool
from simulators.fleet.report.tally import Tally
from wire import agreement, topics
from wire import state as wire_state
from wire.agreement import Agreement
from wire.state import SpoolState, State

_STATE_ID: Final = 0xFFFF


class ReportContext(Protocol):
    """What the gateways of one process share for their states."""

    tally: Tally
    ingest_key: X25519PublicKey
    state_every_s: float


class StateReport:
    """
    The state of one gateway, when it is due and as it is sent.

    Args:
        agent: The gateway's id.

        lease_key: The private key, as 32 raw bytes.

        author: Seals the envelopes of the gateway.

        spool: Keeps them.

        world: What it shares with other gateways.
    """

    __slots__ = (
        "_agent",
        "_agreement",
        "_author",
        "_lease_key",
        "_reported_at",
        "_spool",
        "_world",
    )

    def __init__(
        self,
        agent: str,
        lease_key: bytes,
        author: Author,
        spool: MemorySpool,
        world: ReportContext,
    ) -> None:
        self._agent = agent
        self._lease_key = lease_key
        self._author = author
        self._spool = spool
        self._world = world
        self._agreement: Agreement | None = None
        self._reported_at = 0.0

    def is_due(self, now: float, *, within_s: float = 0.0) -> bool:
        """Tell whether the state is to be sent now, or *within_s* seconds."""
        return now - self._reported_at >= self._world.state_every_s - within_s

    def hasten(self) -> None:
        """Have the state sent at the next occasion."""
        self._reported_at = 0.0

    def packet(self, now: float) -> bytes:
        """Return the PUBLISH packet with the state of a gateway that is connected at *now*."""
        self._reported_at = now
        self._world.tally.states += 1
        topic = topics.state(self._agent)
        return publish(topic, self.payload(online=True), _STATE_ID, is_retained=True)

    def connect_packet(self, *, keep_alive_s: int) -> bytes:
        """Return the CONNECT packet: a clean session, with the off-line state as its will."""
        will = mqtt5.Will(
            topics.state(self._agent),
            payload=self.payload(online=False),
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=True,
        )
        packet: bytes = mqtt5.ConnectPacket(
            self._agent, clean_start=True, keep_alive=keep_alive_s, will=will, receive_max=100
        ).write()
        return packet

    def payload(self, *, online: bool) -> bytes:
        """Return the state, encoded."""
        author = self._author
        floor = self._spool.floor(following=author.sequence + 1)
        proof = wire_state.prove_floor(author.spool_id, floor, self.agreement())
        spool = SpoolState(author.spool_id.hex(), floor, len(self._spool), proof)
        is_measuring = author.handle is not None
        return wire_state.encode(
            State(
                online,
                VERSION,
                author.lease_version,
                is_measuring,
                [spool],
                reads=[wire_state.RECEIPT_2],
            )
        )

    def agreement(self) -> Agreement:
        """Return the keys that the gateway shares with ingest, computed once."""
        if self._agreement is None:
            lease_key = X25519PrivateKey.from_private_bytes(self._lease_key)
            ingest_key = self._world.ingest_key.public_bytes_raw()
            self._agreement = agreement.of_agent(lease_key, ingest_key, self._agent)
        return self._agreement


def publish(topic: str, payload: bytes, packet_id: int, *, is_retained: bool = False) -> bytes:
    """Return a PUBLISH packet of QoS 1."""
    return mqtt5.PublishPacket(
        topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id, retain=is_retained
    ).write()
