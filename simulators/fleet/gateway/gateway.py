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

from simulators.fleet.errors import LinkEnded
from simulators.fleet.gateway import dishonest
from simulators.fleet.gateway.author import Author
from simulators.fleet.gateway.link import MqttLink
from simulators.fleet.gateway.memory_spool import MemorySpool, Waiting
from simulators.fleet.gateway.state_report import StateReport, publish
from simulators.fleet.gateway.tracks import ValueTrack
from simulators.fleet.report.journal import Journal
from simulators.fleet.report.tally import Tally
from simulators.fleet.scenario import malicious
from simulators.fleet.scenario.plan import Act
from wire import lease as wire_lease
from wire import receipt as wire_receipt
from wire import topics
from wire.envelope import Body, encode_envelope
from wire.errors import WireError

KEEP_ALIVE_S: Final = 60
_SILENCE_S: Final = 20.0
"""How long the broker may leave something unanswered."""
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
        "_asked_at", "_author", "_lease_key", "_report", "_settled", "_spoke_at", "_topic",
        "_world", "agent", "is_offline", "link", "number", "spool", "up_since",
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
        self._topic = topics.observations(agent)
        self._author = Author(agent, world.ingest_key, tracks=tracks, skew_ms=skew_ms)
        self._settled = 0
        self._report = StateReport(agent, lease_key, self._author, self.spool, world)

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
        if act >= _DISHONEST and dishonest.is_nameless(act, settled=self._settled):
            self._send_nameless(act, body)
            if act is Act.FORGED:
                # The time span counts as sent: ingest only finds out later that the sequence is
                # settled.
                self._author.measured_until(due_at)
            return
        self._spool(act, phase, due_at, body, count)
        self.pump()

    def _spool(self, act: Act, phase: int, due_at: float, body: Body, count: int) -> None:
        author, world = self._author, self._world
        if act < _DISHONEST or act is Act.FORGED:
            payload = encode_envelope(author.seal(body))
            author.measured_until(due_at)
        else:
            foreign_handle, _ = world.neighbour_of(self)
            body = malicious.body_of(act, body, foreign_handle=foreign_handle)
            payload, count = encode_envelope(author.seal(body)), 0
        sequence = author.sequence
        place = world.journal.add(self.number, sequence, act, phase, due_at, count)
        self.spool.add(act, sequence, Waiting(payload, place))

    def _send_nameless(self, act: Act, body: Body) -> None:
        world = self._world
        if not self.up_since or self.link is None:
            return
        foreign_handle, foreign_topic = world.neighbour_of(self)
        payload = dishonest.nameless(
            act,
            body,
            self._author,
            settled=self._settled,
            foreign_handle=foreign_handle,
            draw=world.draw,
        )
        topic = foreign_topic if act is Act.FOREIGN_TOPIC else self._topic
        world.tally.nameless[act.name.lower()] += 1
        self.link.write(publish(topic, payload, self.spool.claim()))

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
            packets.append(publish(topic, waiting.payload, packet_id))
        if not packets:
            return
        tally.published += len(packets)
        if self._report.is_due(now, within_s=_EARLY_S):
            # A state that is due soon is sent in the same record.
            packets.append(self._report.packet(now))
        self._speak(link, b"".join(packets), now)

    def _speak(self, link: MqttLink, data: bytes, now: float) -> None:
        """Write *data*, which the broker will answer."""
        self._spoke_at = now
        if self._asked_at <= link.heard_at:
            # The first write since the broker was heard: an answer is due from now on.
            self._asked_at = now
        link.write(data)

    def keep_up(self, now: float, *, resend_after_s: float) -> None:
        """Repeat what has waited too long, report the state, keep the connection alive."""
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
        if self._report.is_due(now):
            self._speak(link, self._report.packet(now), now)
        elif now - self._spoke_at > KEEP_ALIVE_S / 2:
            self._speak(link, mqtt5.PingReqPacket().write(), now)

    # Events of the link.

    def connect_packet(self) -> bytes:
        """Return the CONNECT packet: a clean session, with the off-line state as its will."""
        return self._report.connect_packet(keep_alive_s=KEEP_ALIVE_S)

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
            self._speak(self.link, self._report.packet(now), now)
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
        for part in wire_receipt.decode_proven(payload, [self._report.agreement()]):
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
        """Drop the envelopes of a handle that has ended; the next state closes the gaps."""
        for waiting in self.spool.purge():
            self._world.journal.purged(waiting.place)
            self._world.tally.purged += 1
        self._report.hasten()

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
