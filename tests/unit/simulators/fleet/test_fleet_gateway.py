"""A gateway of a fleet, on a link whose other end is in memory."""

import mqtt5
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from simulators.fleet.errors import LinkEnded
from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.memory_spool import WINDOW
from simulators.fleet.gateway.tracks import ValueTrack
from simulators.fleet.scenario.plan import Act
from tests.fakes.fleet import FOREIGN_HANDLE, FOREIGN_TOPIC, Bench, MemoryBroker
from wire import agreement, topics
from wire import lease as wire_lease
from wire import receipt as wire_receipt
from wire import state as wire_state
from wire.envelope import Body, decode_envelope
from wire.errors import BadSeal, UnsupportedVersion, WireError
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


@pytest.fixture
def setting() -> Setting:
    """A gateway that is connected and has a lease."""
    return Setting()


def test_it_introduces_itself_as_an_agent_does(setting: Setting) -> None:
    """
    The gateway connects as an agent does: a clean session, its id, its state as the will, and
    subscriptions at QoS 1.
    """
    connect, subscribe = setting.connect_packet, setting.subscribe_packet
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.client_id, connect.clean_start) == (AGENT, True)
    assert connect.will is not None
    assert connect.will.payload is not None
    assert not wire_state.decode(connect.will.payload).online
    assert isinstance(subscribe, mqtt5.SubscribePacket)
    assert [f.pattern for f in subscribe.topic_filters] == [
        topics.lease(AGENT), topics.receipt(AGENT)
    ]  # fmt: skip
    (state,) = setting.after_suback
    assert isinstance(state, mqtt5.PublishPacket)
    assert state.topic == topics.state(AGENT)


def test_what_it_seals_ingest_opens(setting: Setting) -> None:
    """
    Ingest can open an envelope, which holds the values since the one before, under the lease's
    handle.
    """
    setting.act()
    (published,) = setting.act()
    body = setting.open(published.payload)
    assert published.topic == topics.observations(AGENT)
    assert (body.handle, body.lease) == (HANDLE, 1)
    (block,) = body.blocks
    until = round(setting.bench.at * 1000)
    assert block.times_ms() == list(range(until - 5000, until, 1000))
    assert setting.bench.journal.columns().observations.tolist() == [5, 5]


def test_nothing_is_measured_without_a_lease(setting: Setting) -> None:
    """Without a grant nothing is measured or sealed."""
    setting.lease(2, None)
    assert setting.act() == []
    assert setting.bench.tally.withheld == 1
    assert len(setting.bench.journal) == 0


def test_nothing_is_measured_beyond_the_end_of_a_lease(setting: Setting) -> None:
    """After the end of its lease nothing is measured."""
    setting.lease(2, HANDLE, not_after_ms=round((setting.bench.at + 6) * 1000))
    assert len(setting.act()) == 1
    assert setting.act() == []
    assert setting.bench.tally.withheld == 1


def test_an_older_lease_changes_nothing(setting: Setting) -> None:
    """A lease below the highest version seen changes nothing."""
    setting.lease(3, None)
    setting.lease(2, HANDLE)
    assert setting.act() == []


def test_a_lost_lease_purges_what_was_not_sent(setting: Setting) -> None:
    """
    When a handle is withdrawn, its unpublished envelopes are dropped, and published ones
    are kept.
    """
    setting.act()
    setting.act(Act.SEND_LATE)
    setting.lease(2, None)
    assert list(setting.gateway.spool.waiting) == [1]
    assert setting.bench.journal.columns().settled_at.tolist() == [0.0, -1.0]


def test_it_forgets_on_receipts_and_not_on_acks(setting: Setting) -> None:
    """An acknowledgement of the broker makes room in the window; only a receipt settles."""
    (published,) = setting.act()
    assert published.packet_id is not None
    setting.broker.send(mqtt5.PubAckPacket(published.packet_id).write())
    assert len(setting.gateway.spool) == 1
    setting.bench.at += 2
    setting.settle(1)
    assert len(setting.gateway.spool) == 0
    columns = setting.bench.journal.columns()
    assert columns.settled_at[0] - columns.due_at[0] == pytest.approx(2)


def test_a_receipt_for_another_spool_settles_nothing(setting: Setting) -> None:
    """A receipt for another spool settles nothing."""
    setting.act()
    receipt = setting.proven(SpoolReceipt(b"x" * 16, 9))
    setting.down(topics.receipt(AGENT), receipt)
    assert len(setting.gateway.spool) == 1


def test_a_new_connection_publishes_the_same_bytes_again(setting: Setting) -> None:
    """After a reconnection each unsettled envelope is published again, byte for byte."""
    (first,) = setting.act()
    setting.broker.link.end("cut")
    assert setting.bench.down == [setting.gateway]
    setting.connect()
    again = [p for p in setting.after_suback if isinstance(p, mqtt5.PublishPacket)]
    assert first.payload in [p.payload for p in again]
    assert setting.bench.tally.repeated == 1


def test_nothing_is_lost_while_it_is_away(setting: Setting) -> None:
    """Envelopes that are due without a connection are sealed and sent later."""
    setting.broker.link.end("cut")
    setting.bench.at += 5
    setting.gateway.act(Act.SEND, 0, setting.bench.at, 5.0)
    setting.connect()
    assert setting.bench.tally.published == 1


def test_acknowledgements_ride_with_the_next_envelope(setting: Setting) -> None:
    """
    Acknowledgements for receipts and leases are sent in the same record as the next
    envelope.
    """
    records = setting.broker.transport.records
    setting.bench.at += 5
    setting.gateway.act(Act.SEND, 0, setting.bench.at, 5.0)
    found = setting.broker.exchange()
    assert [type(p) for p in found] == [mqtt5.PubAckPacket, mqtt5.PublishPacket]
    assert setting.broker.transport.records == records + 1


def test_acknowledgements_do_not_wait_for_ever(setting: Setting) -> None:
    """Acknowledgements are sent alone when many are owed, because the broker waits for them."""
    setting.act()
    owed = 0
    for _ in range(9):
        assert setting.down(topics.receipt(AGENT), b"") == []
    owed = len(setting.down(topics.receipt(AGENT), b""))
    assert owed == 10


def test_a_state_that_is_nearly_due_goes_with_an_envelope(setting: Setting) -> None:
    """A state that is due within a second is sent in the same record as an envelope."""
    setting.bench.state_every_s = 30.0
    setting.gateway.keep_up(setting.bench.at + 31, resend_after_s=300)
    setting.broker.exchange()
    setting.bench.at += 31
    found = [[p.topic for p in setting.act()] for _ in range(6)]
    assert [len(topics_of) for topics_of in found] == [1, 1, 1, 1, 1, 2]
    setting.bench.at += 24.5
    assert topics.state(AGENT) in [p.topic for p in setting.act()]


@pytest.mark.parametrize("act", [Act.FOREIGN_HANDLE, Act.IMPLAUSIBLE, Act.FROM_THE_FUTURE,
                                 Act.NOT_PERMITTED, Act.TOO_FINE])  # fmt: skip
def test_hostile_bodies_are_sealed_well(setting: Setting, act: Act) -> None:
    """Bodies that ingest must refuse are sealed validly."""
    (honest,) = setting.act()
    (hostile,) = setting.act(act)
    body, block = setting.open(hostile.payload), setting.open(hostile.payload).blocks[0]
    assert decode_envelope(hostile.payload).sequence == 2
    assert (body.handle == FOREIGN_HANDLE) is (act is Act.FOREIGN_HANDLE)
    assert (block.quantity != Code.HEART_RATE) is (act is Act.NOT_PERMITTED)
    assert (block.unpacked_values()[0] > 300) is (act in (Act.IMPLAUSIBLE, Act.NOT_PERMITTED))
    assert (block.times_ms()[-1] > setting.bench.at * 1000) is (act is Act.FROM_THE_FUTURE)
    assert (len(block) == 2 and block.step == 1) is (act is Act.TOO_FINE)
    assert setting.open(honest.payload).blocks[0].unpacked_values()[0] < 200


def test_a_hostile_envelope_takes_nothing_from_the_honest(setting: Setting) -> None:
    """After a hostile envelope the next honest one still has all values."""
    setting.act()
    setting.act(Act.IMPLAUSIBLE)
    (published,) = setting.act()
    assert len(setting.open(published.payload).blocks[0]) == 10


def test_a_corrupt_envelope_does_not_open(setting: Setting) -> None:
    """An envelope with one changed bit does not open."""
    (published,) = setting.act(Act.CORRUPT)
    with pytest.raises(BadSeal):
        setting.open(published.payload)
    assert setting.bench.tally.nameless == {"corrupt": 1}


@pytest.mark.parametrize("act", [Act.CORRUPT, Act.FOREIGN_HANDLE])
def test_what_ingest_cannot_know_for_ours_has_the_identity_of_the_next(
    setting: Setting, act: Act
) -> None:
    """
    A hostile envelope that takes no identity uses the sequence of the next honest one, which must
    still be stored.
    """
    setting.act()
    (spoilt,) = setting.act(act)
    (honest,) = setting.act()
    assert decode_envelope(spoilt.payload).sequence == decode_envelope(honest.payload).sequence
    assert len(setting.gateway.spool) == 2


@pytest.mark.parametrize(
    ("act", "error"), [(Act.GARBAGE, WireError), (Act.FROM_A_LATER_VERSION, UnsupportedVersion)]
)
def test_nameless_envelopes_have_no_place_in_the_journal(
    setting: Setting, act: Act, error: type[WireError]
) -> None:
    """Envelopes without an identity are counted, and are not in the journal."""
    (published,) = setting.act(act)
    with pytest.raises(error):
        decode_envelope(published.payload)
    assert len(setting.gateway.spool) == 0
    assert setting.bench.tally.nameless == {act.name.lower(): 1}


def test_a_forgery_has_a_settled_identity_and_other_bytes(setting: Setting) -> None:
    """A forgery has a settled sequence and other bytes, so that the genuine envelope was first."""
    (honest,) = setting.act(Act.FORGED)
    setting.settle(1)
    (forged,) = setting.act(Act.FORGED)
    one, other = decode_envelope(honest.payload), decode_envelope(forged.payload)
    assert (one.spool_id, one.sequence) == (other.spool_id, other.sequence)
    assert one.sealed != other.sealed


def test_a_foreign_topic_is_counted_as_denied(setting: Setting) -> None:
    """An envelope that the broker refuses counts as denied, and not as taken."""
    (published,) = setting.act(Act.FOREIGN_TOPIC)
    assert published.topic == FOREIGN_TOPIC
    assert published.packet_id is not None
    setting.broker.send(
        mqtt5.PubAckPacket(
            published.packet_id, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED
        ).write()
    )
    assert (setting.bench.tally.denied, setting.bench.tally.nameless_taken) == (1, 0)


def test_what_waits_too_long_goes_again(setting: Setting) -> None:
    """
    An envelope that has waited too long for a receipt is published again with the same
    bytes.
    """
    (first,) = setting.act()
    setting.broker.link.heard_at = setting.bench.at
    setting.gateway.keep_up(setting.bench.at + 10, resend_after_s=30)
    assert setting.broker.exchange() == []
    setting.broker.link.heard_at = setting.bench.at + 30
    setting.gateway.keep_up(setting.bench.at + 31, resend_after_s=30)
    (again,) = [p for p in setting.broker.exchange() if isinstance(p, mqtt5.PublishPacket)]
    assert again.payload == first.payload


def test_a_silent_broker_is_left(setting: Setting) -> None:
    """A connection without any answer is ended, unless the gateway stops reading on purpose."""
    setting.act()
    setting.broker.link.heard_at = 0.0
    setting.broker.link.stop_reading()
    setting.gateway.keep_up(setting.bench.at + 60, resend_after_s=300)
    assert setting.bench.tally.ended == {}
    setting.broker.link.read_again()
    assert setting.broker.transport.pauses == [True, False]
    setting.gateway.keep_up(setting.bench.at + 60, resend_after_s=300)
    assert setting.bench.tally.ended == {"silent": 1}


def test_what_is_said_again_does_not_put_off_the_silence(setting: Setting) -> None:
    """Repeated requests do not extend the time in which the broker must answer."""
    setting.broker.link.heard_at = setting.bench.at
    setting.act()
    for _ in range(10):
        setting.bench.at += 5
        setting.gateway.keep_up(setting.bench.at, resend_after_s=1)
    assert setting.bench.tally.repeated > 0
    assert setting.bench.tally.ended == {"silent": 1}


def test_unreadable_messages_are_counted(setting: Setting) -> None:
    """An unreadable receipt or lease is counted, and changes nothing."""
    setting.act()
    setting.down(topics.receipt(AGENT), b"\xc1")
    setting.down(topics.lease(AGENT), b"\xc1" * 100)
    assert setting.bench.tally.unreadable == 2
    assert setting.gateway.link is not None


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write(),
         "broker_session_taken_over"),
        (b"\x00\x00", "not_mqtt"),
        (mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write(),
         "subscription_refused"),
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.SERVER_BUSY).write(),
         "refused_server_busy"),
    ],
)  # fmt: skip
def test_a_link_ends_with_its_kind(setting: Setting, packet: bytes, kind: str) -> None:
    """The end of a connection is reported once, with a kind from a closed set."""
    setting.broker.send(packet)
    setting.broker.link.data_received(b"more")
    setting.broker.link.connection_lost(None)
    assert setting.bench.tally.ended == {kind: 1}
    assert setting.broker.transport.is_aborted


def test_a_message_in_two_reads_is_one(setting: Setting) -> None:
    """A packet that comes in two reads is one packet."""
    setting.act()
    receipt = setting.proven(SpoolReceipt(setting.gateway.spool_id, 1))
    packet = mqtt5.PublishPacket(
        topics.receipt(AGENT), receipt, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9
    ).write()
    for part in (packet[:1], packet[1:20]):
        setting.broker.send(part)
        assert len(setting.gateway.spool) == 1
    setting.broker.send(packet[20:] + packet[:7])
    assert len(setting.gateway.spool) == 0
    setting.broker.send(packet[7:])
    assert (setting.bench.tally.receipts, setting.bench.tally.ended) == (2, {})


def test_a_message_without_end_ends_the_link(setting: Setting) -> None:
    """An incomplete packet beyond the limit ends the link."""
    # 300 KB of a PUBLISH of 256 MB.
    setting.broker.send(b"\x32\xff\xff\xff\x7f", *[bytes(10_000)] * 30)
    assert setting.bench.tally.ended == {"not_mqtt": 1}


def test_an_acknowledgement_lets_the_next_in_line_go(setting: Setting) -> None:
    """A full window holds envelopes back, and each acknowledgement lets one go."""
    packets = [packet for _ in range(WINDOW + 2) for packet in setting.act()]
    assert len(packets) == WINDOW
    for held, packet in zip((1, 0), packets, strict=False):
        assert packet.packet_id is not None
        found = setting.broker.send(mqtt5.PubAckPacket(packet.packet_id).write())
        assert len([p for p in found if isinstance(p, mqtt5.PublishPacket)]) == 1
        assert len(setting.gateway.spool.line) == held


def test_a_forgery_of_nothing_is_honest(setting: Setting) -> None:
    """Before the first receipt there is no sequence to forge, and an honest envelope is sent."""
    (published,) = setting.act(Act.FORGED)
    assert len(setting.open(published.payload)) == 5
    assert setting.bench.journal.columns().observations.tolist() == [5]
    (after,) = setting.act()
    assert len(setting.open(after.payload)) == 5


def test_an_error_names_its_kind() -> None:
    """The error of a connection has its kind, and no address."""
    assert str(LinkEnded("tls")) == "a connection ended: tls"
