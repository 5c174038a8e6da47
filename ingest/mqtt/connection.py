"""
One MQTT 5 connection as an `asyncio.Protocol`: bytes in, deliveries out; acks in, bytes out.

The codec is `mqtt5`. Many packets per read, all acks of a flush in one write. Knows nothing of
reconnecting: that is the receiver's. Clauses are those of the OASIS standard of 2019.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, cast

import mqtt5

from ingest.errors import ConnectionLost, ProtocolViolation
from ingest.mqtt.outbox import Outbox, Publication
from ingest.mqtt.session import SessionSettings
from ingest.mqtt.window import Window
from ingest.values.delivery import Delivery
from wire import topics

MAX_PACKET_BYTES: Final = 131_072
"""What we announce as the largest packet that we take: twice the largest envelope."""

_SUBSCRIBE_ID: Final = 1
# The codec's codes look like IntEnum to a type checker, and cannot be ordered.
_GRANTED: Final = (
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE,
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
)
_TAKEN: Final = (
    mqtt5.PubAckReasonCode.SUCCESS,
    mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS,
)
_MAX_IN_FLIGHT: Final = 128
"""Receipts of ours that the broker has not acknowledged."""


class Connection(asyncio.Protocol):
    """
    Speaks MQTT 5 over one transport, from CONNECT to its end.

    Args:
        generation: Its number.

        session: What the broker keeps for us.

        keep_alive_s: How long there may be silence, unless the broker says otherwise.

        outbox: What it publishes.

        on_deliveries: Takes what one read brought.

        on_refused: Told the reason for which the broker did not take a publication.

        now_ms: The time, ms since 1970.
    """

    def __init__(  # noqa: PLR0913 - the receiver hands over every part once, by name
        self,
        *,
        generation: int,
        session: SessionSettings,
        keep_alive_s: int,
        outbox: Outbox,
        on_deliveries: Callable[[list[Delivery]], None],
        on_refused: Callable[[str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._generation = generation
        self._session = session
        self._keep_alive_s = keep_alive_s
        self._outbox = outbox
        self._on_deliveries = on_deliveries
        self._on_refused = on_refused
        self._now_ms = now_ms
        self._window = Window(bound=2 * session.receive_max)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._in_flight_limit = 0
        self._session_present = False
        self._is_paused = False
        self._is_closing = False
        self._has_room = False
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.subscribed: asyncio.Future[bool] = self._loop.create_future()
        """Done once everything is subscribed; its result: whether the session was still there."""
        self.quiet = asyncio.Event()
        """Set whenever the last publication was acknowledged."""
        self.ended: asyncio.Future[ConnectionLost] = self._loop.create_future()
        """Done once the connection is gone; its result: why."""

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        connect = mqtt5.ConnectPacket(
            client_id=self._session.client_id,
            clean_start=False,
            keep_alive=self._keep_alive_s,
            session_expiry_interval=self._session.expiry_s,
            receive_max=self._session.receive_max,
            max_packet_size=MAX_PACKET_BYTES,
        )
        self._transport.write(connect.write())
        self._beat()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(ConnectionLost("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self.ended.done():
            return
        deliveries: list[Delivery] = []
        try:
            self._read(data, deliveries)
        except ConnectionLost as lost:
            self._finish(lost)
        if self._has_room:
            # Once for all acks of a read: what waits goes out in one write, not one by one.
            self._has_room = False
            self.send_waiting()
            if not len(self._outbox):
                self.quiet.set()
        if deliveries:
            self._on_deliveries(deliveries)
        if self._window.is_full and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _read(self, data: bytes, deliveries: list[Delivery]) -> None:
        """Take every whole packet; keep the rest for the next read."""
        source: bytes | bytearray = data
        received_ms = self._now_ms()
        if self._buffer:
            self._buffer += data
            source = self._buffer
        position = 0
        with memoryview(source) as view:
            while position < len(view):
                try:
                    packet, size = mqtt5.read(view[position:])
                except IndexError:
                    break
                except ValueError:
                    raise ProtocolViolation("the broker sent what is not MQTT 5") from None
                position += size
                if isinstance(packet, mqtt5.PublishPacket):
                    self._take_publish(packet, deliveries, received_ms)
                else:
                    self._take(packet)
        if source is self._buffer:
            # From the front of a bytearray: moves a pointer, copies nothing.
            del self._buffer[:position]
        elif position < len(data):
            self._buffer += data[position:]
        if len(self._buffer) > 2 * MAX_PACKET_BYTES:
            raise ProtocolViolation("the broker sent a packet larger than we take")

    def _take(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PubAckPacket():
                if packet.reason_code not in _TAKEN:
                    # Not tried again: the agent asks again by itself, and is told then.
                    self._on_refused(packet.reason_code.name)
                self._outbox.acknowledged(packet.packet_id)
                self._has_room = True
            case mqtt5.ConnAckPacket():
                self._take_connack(packet)
            case mqtt5.SubAckPacket():
                self._take_suback(packet)
            case mqtt5.PingRespPacket():
                pass
            case mqtt5.DisconnectPacket():
                raise ConnectionLost(f"the broker disconnected: {packet.reason_code.name}")
            case _:
                raise ProtocolViolation("the broker sent a packet that it may not send")

    def _take_publish(
        self, packet: mqtt5.PublishPacket, deliveries: list[Delivery], received_ms: int
    ) -> None:
        if packet.qos == mqtt5.QoS.EXACTLY_ONCE or not packet.topic:
            raise ProtocolViolation("the broker sent QoS 2 or a topic alias unasked")
        if self._is_closing:
            # Not acknowledged, so it comes again at the next start.
            return
        delivery = Delivery(
            packet.topic, packet.payload, packet.packet_id, self._generation, received_ms
        )
        self._window.add(delivery)
        deliveries.append(delivery)

    def _take_connack(self, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise ConnectionLost(f"the broker refused: {packet.reason_code.name}")
        if self._in_flight_limit:
            raise ProtocolViolation("the broker accepted twice")
        self._in_flight_limit = min(packet.receive_max, _MAX_IN_FLIGHT)
        if packet.server_keep_alive:
            # From now on, not from the next beat: that may be later than the broker waits. One of
            # 0 asks for no pings, and we go on with ours: they show us a connection that is dead.
            self._keep_alive_s = packet.server_keep_alive
            self._beat_later()
        self._session_present = packet.session_present
        # Subscribed on every connection: a broker that lost the session has lost it silently for
        # us otherwise, and the retained states come again.
        self._write(
            mqtt5.SubscribePacket(
                _SUBSCRIBE_ID,
                [_subscription(topic) for topic in self._session.filters()],
            ).write()
        )
        if packet.session_present:
            again = self._outbox.resend(limit=self._in_flight_limit)
            self._publish(again, is_duplicate=True)
        else:
            self._outbox.lose_session()
        self.send_waiting()

    def _take_suback(self, packet: mqtt5.SubAckPacket) -> None:
        codes = packet.reason_codes
        if not codes or not all(code in _GRANTED for code in codes):
            raise ConnectionLost("the broker refused a subscription")
        if not self.subscribed.done():
            self.subscribed.set_result(self._session_present)

    # Our side.

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge *deliveries*, each once all before it are settled, in one write."""
        acks = [mqtt5.PubAckPacket(i).write() for i in self._window.settle(deliveries)]
        if acks:
            self._write(b"".join(acks))
        if self._is_paused and not self._window.is_full and self._transport is not None:
            self._is_paused = False
            # Nothing was heard because nothing was read.
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    @property
    def owed(self) -> int:
        """How many deliveries are not settled."""
        return len(self._window)

    def send_waiting(self) -> None:
        """Publish what waits in the outbox, as far as the broker's window allows."""
        self._publish(self._outbox.take(limit=self._in_flight_limit), is_duplicate=False)

    def _publish(self, publications: list[Publication], *, is_duplicate: bool) -> None:
        packets = [
            mqtt5.PublishPacket(
                p.topic,
                p.payload,
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain=True,
                packet_id=p.packet_id,
                duplicate=is_duplicate,
            ).write()
            for p in publications
        ]
        if packets:
            self._write(b"".join(packets))

    def stop_receiving(self) -> None:
        """Take no further delivery. What still comes is not acknowledged."""
        self._is_closing = True

    def close(self) -> None:
        """Say goodbye; the broker keeps the session."""
        if self._transport is not None and not self.ended.done():
            self._write(mqtt5.DisconnectPacket().write())
            self._transport.close()

    def abort(self) -> None:
        """End the connection without a goodbye."""
        self._finish(ConnectionLost("given up"))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _beat(self) -> None:
        """Ping in time, and end a connection on which nothing is heard [MQTT-3.1.2-20]."""
        silent_s = self._loop.time() - self._heard_at
        if not self._is_paused and silent_s > 1.5 * self._keep_alive_s:
            self._finish(ConnectionLost("nothing was heard from the broker"))
            return
        if self._in_flight_limit:
            self._write(mqtt5.PingReqPacket().write())
        self._beat_later()

    def _beat_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._keep_alive_s / 2, self._beat)

    def _finish(self, why: ConnectionLost) -> None:
        if self.ended.done():
            return
        self.ended.set_result(why)
        self.subscribed.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()


def _subscription(topic: str) -> mqtt5.TopicFilter:
    # Of states what is retained is wanted. Envelopes are never to be: what a gateway has kept at
    # the broker nevertheless does not come again each time that we connect.
    is_state = topic == topics.ALL_STATES
    handling = mqtt5.RetainHandling
    return mqtt5.TopicFilter(
        topic,
        max_qos=mqtt5.QoS.AT_LEAST_ONCE,
        retain_handling=handling.SEND_ALWAYS if is_state else handling.SEND_NEVER,
    )
