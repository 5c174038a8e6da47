"""
One gateway of a fleet: seals, publishes, deletes on receipts, obeys its lease. No I/O.

It acts towards the network as an agent does. It has no sensors and no disk: envelopes without a
receipt are kept in memory, as they were sealed, and are published again on each connection.
"""

import random
from collections.abc import Sequence
from typing import Final, Protocol

import mqtt5
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from runtime.version import VERSION
from simulators.fleet.errors import LinkEnded
from simulators.fleet.gateway.author import Author
from simulators.fleet.gateway.link import MqttLink
from simulators.fleet.gateway.memory_spool import MemorySpool, Waiting
from simulators.fleet.gateway.tracks import ValueTrack
from simulators.fleet.report.journal import Journal
from simulators.fleet.report.tally import Tally
from simulators.fleet.scenario import malicious
from simulators.fleet.scenario.plan import Act
from wire import agreement, topics
from wire import lease as wire_lease
from wire import receipt as wire_receipt
from wire import state as wire_state
from wire.agreement import Agreement
from wire.envelope import Body, Envelope, encode_envelope
from wire.errors import WireError
from wire.state import SpoolState, State

KEEP_ALIVE_S: Final = 60
_SILENCE_S: Final = 20.0
"""How long the broker may leave something unanswered."""
_STATE_ID: Final = 0xFFFF
_DISHONEST: Final = Act.CORRUPT
"""Acts from this one on do not send what an honest gateway sends. A comparison is cheaper than
a lookup in a set, because the hash of an enumeration is computed in Python."""
_EARLY_S: Final = 1.0
"""How many seconds early a state may be sent together with an envelope."""


class GatewayContext(Protocol):
    """The parts that the gateways of one process share."""

    journal: Journal
    tally: Tally
    trust_key: Ed25519PublicKey
    ingest_key: X25519PublicKey
    draw: random.Random
    state_every_s: float

    def now(self) -> float:
        """Return the time, seconds since 1970."""
        ...

    def neighbour_of(self, gateway: "Gateway") -> tuple[bytes, str]:
        """Return a handle and a topic that are not this gateway's."""
        ...

    def came_up(self, gateway: "Gateway") -> None:
        """Note that a connection is ready."""
        ...

    def went_down(self, gateway: "Gateway") -> None:
        """Note that a connection is lost."""
        ...


class Gateway:
    """
    A gateway with one person.

    Args:
        number: The number of the gateway in the roster.

        agent: The id of the gateway.

        lease_key: The private lease key, as 32 raw bytes: a key object would take a kilobyte.

        tracks: What the person's sensors measure, and the position in these tracks at 1970.

        skew_ms: How far the clock of the gateway is ahead, in ms.

        world: The parts that it shares with other gateways.
    """

    __slots__ = (
        "_agreement", "_asked_at", "_author", "_lease_key", "_reported_at", "_settled",
        "_spoke_at", "_topic", "_world", "agent", "is_offline", "link", "number", "spool",
        "up_since",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        agent: str,
        *,
        lease_key: bytes,
        tracks: tuple[Sequence[ValueTrack], int],
        skew_ms: int,
        world: GatewayContext,
    ) -> None:
        self.number = number
        self.agent = agent
        self.link: MqttLink | None = None
        self.is_offline = False
        self.up_since = 0.0
        """Since when its connection is ready; 0 while there is none."""
        self.spool = MemorySpool()
        self._spoke_at = 0.0
        self._asked_at = 0.0
        self._world = world
        self._lease_key = lease_key
        self._agreement: Agreement | None = None
        self._topic = topics.observations(agent)
        self._author = Author(agent, world.ingest_key, tracks=tracks, skew_ms=skew_ms)
        self._settled = 0
        self._reported_at = 0.0

    @property
    def spool_id(self) -> bytes:
        """The id of the spool in memory."""
        return self._author.spool_id

    # Acts of the plan.

    def act(self, act: Act, phase: int, due_at: float, every_s: float) -> None:
        """Do *act*, which was due at *due_at*; a first envelope covers *every_s* seconds."""
        body, count = self._author.measure(due_at, every_s)
        if body is None:
            self._world.tally.withheld += 1
            return
        if act >= _DISHONEST and self._is_nameless(act):
            self._send_nameless(act, body)
            if act is Act.FORGED:
                # The time span counts as sent: ingest only finds out later that the sequence is
                # settled.
                self._author.measured_until(due_at)
            return
        self._spool(act, phase, due_at, body, count)
        self.pump()

    def _is_nameless(self, act: Act) -> bool:
        return act in malicious.NAMELESS or (act is Act.FORGED and self._settled > 0)

    def _spool(self, act: Act, phase: int, due_at: float, body: Body, count: int) -> None:
        author, world = self._author, self._world
        if act < _DISHONEST or act is Act.FORGED:
            payload = encode_envelope(author.seal(body))
            author.measured_until(due_at)
        else:
            payload, count = self._spoilt(act, body), 0
        sequence = author.sequence
        place = world.journal.add(self.number, sequence, act, phase, due_at, count)
        self.spool.add(act, sequence, Waiting(payload, place))

    def _spoilt(self, act: Act, body: Body) -> bytes:
        """Return an envelope that ingest must refuse."""
        author, world = self._author, self._world
        foreign_handle, _ = world.neighbour_of(self)
        body = malicious.body_of(act, body, foreign_handle=foreign_handle)
        return encode_envelope(author.seal(body))

    def _send_nameless(self, act: Act, body: Body) -> None:
        world = self._world
        if not self.up_since or self.link is None:
            return
        topic = self._topic
        if act is Act.GARBAGE:
            payload = malicious.garbage(draw=world.draw)
        elif act is Act.FROM_A_LATER_VERSION:
            payload = malicious.from_a_later_version()
        elif act is Act.FOREIGN_TOPIC:
            payload = malicious.from_a_later_version()
            _, topic = world.neighbour_of(self)
        elif act is Act.CORRUPT:
            payload = malicious.corrupted(self._ahead(body), draw=world.draw)
        elif act is Act.FOREIGN_HANDLE:
            foreign_handle, _ = world.neighbour_of(self)
            body = malicious.body_of(act, body, foreign_handle=foreign_handle)
            payload = encode_envelope(self._ahead(body))
        else:
            payload = encode_envelope(self._author.forge(body, sequence=self._settled))
        world.tally.nameless[act.name.lower()] += 1
        self.link.write(_publish(topic, payload, self.spool.claim()))

    def _ahead(self, body: Body) -> Envelope:
        """
        Return *body* under the sequence of the next honest envelope, which must stay
        unaffected.
        """
        return self._author.forge(body, sequence=self._author.sequence + 1)

    # Publishing.

    def pump(self) -> None:
        """Publish the queued envelopes in one write, as far as the window allows."""
        link, spool = self.link, self.spool
        if link is None or not spool.line or not self.up_since:
            return
        world, topic = self._world, self._topic
        tally, now = world.tally, world.now()
        packets = []
        for packet_id, waiting in spool.take():
            if waiting.published_at:
                tally.repeated += 1
            else:
                world.journal.sent(waiting.place, now)
            waiting.published_at = now
            packets.append(_publish(topic, waiting.payload, packet_id))
        if not packets:
            return
        tally.published += len(packets)
        if now - self._reported_at >= world.state_every_s - _EARLY_S:
            # A state that is due soon is sent in the same record.
            packets.append(self._state_packet(now))
        self._speak(link, b"".join(packets), now)

    def _speak(self, link: MqttLink, data: bytes, now: float) -> None:
        """Write *data*, which the broker will answer."""
        self._spoke_at = now
        if self._asked_at <= link.heard_at:
            # The first write since the broker was heard: an answer is due from now on.
            self._asked_at = now
        link.write(data)

    def _state_packet(self, now: float) -> bytes:
        self._reported_at = now
        self._world.tally.states += 1
        return _publish(
            topics.state(self.agent), self._state(online=True), _STATE_ID, is_retained=True
        )

    def _state(self, *, online: bool) -> bytes:
        author = self._author
        floor = self.spool.floor(following=author.sequence + 1)
        proof = wire_state.prove_floor(author.spool_id, floor, self._shared())
        spool = SpoolState(author.spool_id.hex(), floor, len(self.spool), proof)
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

    def _shared(self) -> Agreement:
        """Return the keys that it shares with ingest, computed once."""
        if self._agreement is None:
            lease_key = X25519PrivateKey.from_private_bytes(self._lease_key)
            ingest_key = self._world.ingest_key.public_bytes_raw()
            self._agreement = agreement.of_agent(lease_key, ingest_key, self.agent)
        return self._agreement

    def keep_up(self, now: float, *, resend_after_s: float) -> None:
        """
        Do the periodic work: repeat what has waited too long, report the state, keep the
        connection alive.
        """
        link = self.link
        if not self.up_since or link is None:
            return
        if self._asked_at > link.heard_at and now - self._asked_at > _SILENCE_S:
            # Every packet is answered, so that silence means a dead connection.
            if not link.is_paused:
                link.end("silent")
            return
        self.spool.put_overdue(now - resend_after_s)
        self.pump()
        if now - self._reported_at >= self._world.state_every_s:
            self._speak(link, self._state_packet(now), now)
        elif now - self._spoke_at > KEEP_ALIVE_S / 2:
            self._speak(link, mqtt5.PingReqPacket().write(), now)

    # Events of the link.

    def connect_packet(self) -> bytes:
        """Return the CONNECT packet: a clean session, with the off-line state as its will."""
        will = mqtt5.Will(
            topics.state(self.agent),
            payload=self._state(online=False),
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=True,
        )
        return mqtt5.ConnectPacket(
            self.agent, clean_start=True, keep_alive=KEEP_ALIVE_S, will=will, receive_max=100
        ).write()

    def subscriptions(self) -> Sequence[str]:
        """Return the topics of leases and receipts."""
        return (topics.lease(self.agent), topics.receipt(self.agent))

    def came_up(self, receive_max: int) -> None:
        """Publish all envelopes without a receipt again."""
        now = self._world.now()
        self.up_since = now
        self.spool.reconnected(limit=receive_max)
        self._world.tally.came_up += 1
        if self.link is not None:
            self._asked_at = 0.0
            self._speak(self.link, self._state_packet(now), now)
        self._world.came_up(self)
        self.pump()

    def acknowledged(self, packet_id: int, *, is_refused: bool) -> None:
        """Free the packet id, and publish what is queued."""
        sequence = self.spool.acknowledged(packet_id)
        if sequence is None:
            return
        tally = self._world.tally
        if is_refused:
            tally.denied += 1
        elif sequence:
            tally.taken += 1
        else:
            tally.nameless_taken += 1
        if self.spool.line:
            self.pump()

    def received(self, topic: str, payload: bytes) -> None:
        """Take a receipt or a lease."""
        try:
            if topic.startswith("vv1/receipt/"):
                self._take_receipt(payload)
            else:
                self._take_lease(payload)
        except WireError:
            self._world.tally.unreadable += 1

    def _take_receipt(self, payload: bytes) -> None:
        world = self._world
        world.tally.receipts += 1
        if not self.spool.waiting:
            return
        now = world.now()
        for part in wire_receipt.decode_proven(payload, [self._shared()]):
            if part.spool_id != self._author.spool_id:
                continue
            for sequence, waiting in self.spool.forget(part):
                world.tally.settled_one(*world.journal.settled(waiting.place, now))
                if sequence > self._settled:
                    self._settled = sequence

    def _take_lease(self, payload: bytes) -> None:
        lease = wire_lease.decode(
            payload,
            agent=self.agent,
            trust_key=self._world.trust_key,
            agent_key=X25519PrivateKey.from_private_bytes(self._lease_key),
        )
        author, tally = self._author, self._world.tally
        if lease.version <= author.lease_version:
            return
        tally.leases += 1
        tally.leased += not author.lease_version
        if author.obey(lease):
            self._purge()

    def _purge(self) -> None:
        """
        Drop the unpublished envelopes of a handle that has ended, and report it to
        close the gaps.
        """
        for waiting in self.spool.purge():
            self._world.journal.purged(waiting.place)
            self._world.tally.purged += 1
        self._reported_at = 0.0

    def give_up(self, kind: str) -> None:
        """End its connection, if it has one."""
        if self.link is not None:
            self.link.end(kind)

    def went_down(self, why: LinkEnded) -> None:
        """Note the loss, and request a new connection."""
        if self.up_since:
            self._world.tally.went_down += 1
        self.up_since = 0.0
        self.link = None
        self._world.tally.ended[why.kind] += 1
        self._world.went_down(self)


def _publish(topic: str, payload: bytes, packet_id: int, *, is_retained: bool = False) -> bytes:
    return mqtt5.PublishPacket(
        topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id, retain=is_retained
    ).write()
