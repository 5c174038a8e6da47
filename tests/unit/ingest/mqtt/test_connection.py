"""An MQTT connection, driven byte by byte over a transport in memory."""

import asyncio
from collections.abc import Callable
from typing import Any

import mqtt5
import pytest

from ingest.errors import ConnectionLost, ProtocolViolation
from ingest.mqtt.connection import Connection
from ingest.mqtt.outbox import Outbox
from ingest.mqtt.packets import MAX_PACKET_BYTES
from ingest.mqtt.session import SessionSettings
from ingest.values.delivery import Delivery
from runtime.causes import mqtt as causes

TOPIC = "vv1/obs/00/0123456789abcdef"


class MemoryTransport(asyncio.Transport):
    """Keeps the written bytes, and remembers whether reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_reading_now = True
        self.is_gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.is_gone = True

    def abort(self) -> None:
        self.is_gone = True

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def packets(self) -> list[mqtt5.Packet]:
        """Return the packets written since the last call."""
        data, self.written = b"".join(self.written), []
        found, position = [], 0
        while position < len(data):
            packet, size = mqtt5.read(memoryview(data)[position:])
            found.append(packet)
            position += size
        return found


class Peer:
    """A connection whose broker is the test."""

    def __init__(self, *, receive_max: int = 100, outbox: Outbox | None = None) -> None:
        self.arrived: list[Delivery] = []
        self.refused: list[str] = []
        self.transport = MemoryTransport()
        self.outbox = outbox or Outbox()
        self.connection = Connection(
            generation=1,
            session=SessionSettings(receive_max=receive_max),
            keep_alive_s=60,
            outbox=self.outbox,
            on_deliveries=self.arrived.extend,
            on_refused=self.refused.append,
            now_ms=lambda: 5,
        )
        self.connection.connection_made(self.transport)

    def accept(self, *, session_present: bool = False, receive_max: int = 65535) -> None:
        """Send CONNACK and SUBACK."""
        connack = mqtt5.ConnAckPacket(session_present=session_present, receive_max=receive_max)
        self.connection.data_received(connack.write())
        codes = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * 2
        self.connection.data_received(mqtt5.SubAckPacket(1, codes).write())


def publish(packet_id: int, payload: bytes = b"x") -> bytes:
    """Return a PUBLISH as the broker sends it."""
    return mqtt5.PublishPacket(
        TOPIC, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id
    ).write()


async def test_session_is_kept_and_subscribed() -> None:
    """The connection keeps its session, and subscribes to envelopes and states."""
    peer = Peer()
    (connect,) = peer.transport.packets()
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.clean_start, connect.receive_max) == (False, 100)
    assert connect.session_expiry_interval == 604_800
    peer.accept(session_present=True)
    (subscribe,) = peer.transport.packets()
    assert isinstance(subscribe, mqtt5.SubscribePacket)
    assert [f.pattern for f in subscribe.topic_filters] == ["vv1/obs/+/+", "vv1/state/+"]
    assert await peer.connection.subscribed is True


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
async def test_packets_may_come_in_any_pieces(size: int) -> None:
    """However TCP splits the stream, each packet is delivered once, in order, complete."""
    peer = Peer()
    peer.accept()
    stream = b"".join(publish(i, bytes([i]) * 40 * i) for i in range(1, 20))
    for start in range(0, len(stream), size):
        peer.connection.data_received(stream[start : start + size])
    assert [(d.packet_id, len(d.payload)) for d in peer.arrived] == [
        (i, 40 * i) for i in range(1, 20)
    ]


async def test_acks_of_a_flush_go_out_in_one_write_and_in_order() -> None:
    """The acknowledgements of a flush go out in one write, in the order of receipt."""
    peer = Peer()
    peer.accept()
    peer.connection.data_received(b"".join(map(publish, (1, 2, 3))))
    peer.transport.packets()
    first, second, third = peer.arrived
    peer.connection.settle([third])
    assert peer.transport.written == []
    peer.connection.settle([second, first])
    assert len(peer.transport.written) == 1
    acks = [p.packet_id for p in peer.transport.packets() if isinstance(p, mqtt5.PubAckPacket)]
    assert acks == [1, 2, 3]


async def test_reading_pauses_at_the_bound_and_goes_on_after_acks() -> None:
    """A broker that exceeds the window is not read until there is room again."""
    peer = Peer(receive_max=2)
    peer.accept()
    for i in range(1, 5):
        assert peer.transport.is_reading_now
        peer.connection.data_received(publish(i))
    assert (peer.transport.is_reading_now, peer.connection.owed) == (False, 4)
    peer.connection.settle(peer.arrived[:1])
    assert peer.transport.is_reading_now


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xff\xff\xff\xff\xff", id="no packet"),
        pytest.param(b"\x30\x02\x00\x05", id="a length that lies"),
        pytest.param(mqtt5.PingReqPacket().write(), id="a packet of clients"),
        pytest.param(
            mqtt5.PublishPacket(TOPIC, b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1).write(),
            id="QoS 2",
        ),
        pytest.param(mqtt5.ConnAckPacket().write(), id="a second CONNACK"),
        pytest.param(b"\x30\xff\xff\xff\x7f" + bytes(2 * MAX_PACKET_BYTES), id="oversized"),
    ],
)
async def test_violation_ends_the_connection(data: bytes) -> None:
    """Bytes that violate MQTT end the connection."""
    peer = Peer()
    peer.accept()
    peer.connection.data_received(publish(1) + data + publish(2))
    assert isinstance(await peer.connection.ended, ProtocolViolation)
    assert peer.transport.is_gone
    assert len(peer.arrived) == 1


async def test_refused_subscription_ends_the_connection() -> None:
    """A refused subscription ends the connection, because ingest would receive nothing."""
    peer = Peer()
    peer.connection.data_received(mqtt5.ConnAckPacket().write())
    codes = [
        mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
        mqtt5.SubAckReasonCode.NOT_AUTHORIZED,
    ]
    peer.connection.data_received(mqtt5.SubAckPacket(1, codes).write())
    assert "subscription" in str(await peer.connection.ended)
    assert peer.connection.subscribed.cancelled()


async def test_subscription_that_nobody_answered_for_is_none() -> None:
    """A SUBACK without a reason code grants no subscription."""
    peer = Peer()
    peer.connection.data_received(mqtt5.ConnAckPacket().write())
    peer.connection.data_received(mqtt5.SubAckPacket(1, []).write())
    assert "subscription" in str(await peer.connection.ended)


@pytest.mark.parametrize(
    ("keep_alive", "next_beat_s"),
    [
        pytest.param(10, 5, id="shorter: counted from now, not from the beat after"),
        pytest.param(0, 30, id="none: ours goes on"),
        pytest.param(None, 30, id="unsaid"),
    ],
)
async def test_brokers_keep_alive_counts_from_the_start(
    keep_alive: int | None, next_beat_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the broker's keep-alive is shorter, pings follow it from the start."""
    loop = asyncio.get_running_loop()
    beats: list[asyncio.TimerHandle] = []

    def call_later(delay: float, callback: Callable[..., object]) -> asyncio.TimerHandle:
        beats.append(loop.call_at(loop.time() + delay, callback))
        return beats[-1]

    monkeypatch.setattr(loop, "call_later", call_later)
    peer = Peer()
    peer.connection.data_received(mqtt5.ConnAckPacket(server_keep_alive=keep_alive).write())
    (due,) = [beat.when() - loop.time() for beat in beats if not beat.cancelled()]
    assert due == pytest.approx(next_beat_s, abs=4)
    peer.connection.abort()


async def test_receipt_that_is_not_taken_is_told() -> None:
    """A refused receipt is reported."""
    outbox = Outbox()
    for topic in "ab":
        outbox.put(topic, b"r")
    peer = Peer(outbox=outbox)
    peer.accept()
    first, second = [p for p in peer.transport.packets() if isinstance(p, mqtt5.PublishPacket)]
    assert first.packet_id is not None
    assert second.packet_id is not None
    for packet_id, code in (
        (first.packet_id, mqtt5.PubAckReasonCode.NOT_AUTHORIZED),
        (second.packet_id, mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS),
    ):
        ack = mqtt5.PubAckPacket(packet_id, reason_code=code)
        peer.connection.data_received(ack.write())
    assert peer.refused == ["NOT_AUTHORIZED"]
    assert len(outbox) == 0


async def test_refused_connect_and_goodbye_say_why() -> None:
    """A refused CONNECT and a DISCONNECT report the broker's reason code."""
    peer = Peer()
    refusal = mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED)
    peer.connection.data_received(refusal.write())
    assert "does not authorise this client (reason 0x87)" in str(await peer.connection.ended)
    peer = Peer()
    peer.accept()
    goodbye = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER)
    peer.connection.data_received(goodbye.write())
    assert "another client connected with the same id" in str(await peer.connection.ended)


async def test_receipts_keep_the_brokers_window() -> None:
    """Receipts in flight never exceed the broker's receive maximum."""
    outbox = Outbox()
    for topic in "abc":
        outbox.put(topic, b"r")
    peer = Peer(outbox=outbox)
    peer.transport.packets()
    peer.accept(receive_max=2)
    sent = [p for p in peer.transport.packets() if isinstance(p, mqtt5.PublishPacket)]
    assert [(p.topic, p.retain, p.duplicate) for p in sent] == [
        ("a", True, False),
        ("b", True, False),
    ]
    assert sent[0].packet_id is not None
    peer.connection.data_received(mqtt5.PubAckPacket(sent[0].packet_id).write())
    (last,) = peer.transport.packets()
    assert isinstance(last, mqtt5.PublishPacket)
    assert last.topic == "c"


@pytest.mark.parametrize("session_present", [True, False])
async def test_receipts_in_flight_are_sent_again_after_a_reconnect(session_present: bool) -> None:
    """
    After a reconnection, receipts in flight are repeated as duplicates if the session exists, and
    sent as new otherwise.
    """
    outbox = Outbox()
    outbox.put("a", b"r")
    (before,) = outbox.take(limit=1)
    peer = Peer(outbox=outbox)
    peer.transport.packets()
    peer.accept(session_present=session_present)
    (again,) = [p for p in peer.transport.packets() if isinstance(p, mqtt5.PublishPacket)]
    assert again.payload == b"r"
    assert again.duplicate is session_present
    assert (again.packet_id == before.packet_id) is session_present


async def test_stopped_connection_takes_nothing_and_says_goodbye() -> None:
    """After a stop, deliveries are neither passed on nor acknowledged, so that they come again."""
    peer = Peer()
    peer.accept()
    peer.connection.data_received(publish(1))
    peer.connection.stop_receiving()
    peer.connection.data_received(publish(2))
    assert len(peer.arrived) == 1
    peer.connection.settle(peer.arrived)
    peer.connection.close()
    _, *rest = peer.transport.packets()
    assert [type(p) for p in rest[-2:]] == [mqtt5.PubAckPacket, mqtt5.DisconnectPacket]


async def test_lost_transport_ends_the_connection_once() -> None:
    """When a transport ends, the first reason is reported, once."""
    peer = Peer()
    peer.connection.connection_lost(None)
    peer.connection.abort()
    assert str(await peer.connection.ended) == str(causes.UNANSWERED)
    assert isinstance(await peer.connection.ended, ConnectionLost)


@pytest.mark.parametrize(
    "settings",
    [
        {"receive_max": 0},
        {"expiry_s": -1},
        {"first_shard": 3, "last_shard": 2},
        {"client_id": ""},
        {"client_id": "a\x00b"},
        {"client_id": "a" * 257},
    ],
)
def test_session_settings_must_make_sense(settings: dict[str, Any]) -> None:
    """Session settings with which nothing could be received are refused."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        SessionSettings(**settings)


def test_worker_subscribes_to_its_shards() -> None:
    """A worker subscribes to its shards and to every state."""
    assert SessionSettings(first_shard=1, last_shard=2).filters() == [
        "vv1/obs/01/+",
        "vv1/obs/02/+",
        "vv1/state/+",
    ]
