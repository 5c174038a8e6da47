"""
One MQTT 5 connection as an `asyncio.Protocol`: receives deliveries, and sends acks and receipts.

The codec is `mqtt5`. One read may bring many packets; all acks of a flush go out in one write. The
receiver reconnects. Clauses are those of the OASIS standard "MQTT Version 5.0" of 2019.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, cast

import mqtt5

from ingest.errors import ConnectionLost, ProtocolViolation
from ingest.mqtt.outbox import Outbox, Publication
from ingest.mqtt.packets import MAX_PACKET_BYTES, PacketReader
from ingest.mqtt.session import SessionSettings
from ingest.mqtt.window import Window
from ingest.values.delivery import Delivery
from runtime.causes import mqtt as causes
from runtime.logs import describe
from wire import topics

_SUBSCRIBE_ID: Final = 1
# To a type checker the codes of mqtt5 are IntEnums, but they cannot be compared by order.
_GRANTED: Final = (
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE,
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
)
_ACCEPTED: Final = (
    mqtt5.PubAckReasonCode.SUCCESS,
    mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS,
)
_MAX_IN_FLIGHT: Final = 128
"""Limit of receipts that the broker has not acknowledged."""


class Connection(asyncio.Protocol):
    """
    Speaks MQTT 5 over one transport, from CONNECT to its end.

    Args:
        generation: Number of the connection.

        session: The MQTT session that the broker keeps.

        keep_alive_s: Keep-alive interval, unless the broker sets another.

        outbox: Messages to publish.

        on_deliveries: Called with the deliveries of one read.

        on_refused: Called with the reason code if the broker refuses a publication.

        now_ms: The system clock, ms since 1970.
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
        self._packets = PacketReader()
        self._in_flight_limit = 0
        self._session_present = False
        self._is_paused = False
        self._is_closing = False
        self._has_room = False
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.subscribed: asyncio.Future[bool] = self._loop.create_future()
        """Done after subscribing; the result is whether the broker still had the session."""
        self.quiet = asyncio.Event()
        """Set each time the last publication in the outbox is acknowledged."""
        self.ended: asyncio.Future[ConnectionLost] = self._loop.create_future()
        """Done when the connection has ended; the result is the reason."""

    # Called by the transport.

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
        self._ping()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not isinstance(exc, ConnectionError):
            self._finish(ConnectionLost(describe(exc, peer="the broker")))
        else:
            self._finish(
                ConnectionLost(str(causes.CLOSED if self._in_flight_limit else causes.UNANSWERED))
            )

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self.ended.done():
            return
        deliveries: list[Delivery] = []
        received_ms = self._now_ms()
        try:
            for packet in self._packets.feed(data):
                if isinstance(packet, mqtt5.PublishPacket):
                    self._take_publish(packet, deliveries, received_ms)
                else:
                    self._take(packet)
        except ConnectionLost as lost:
            self._finish(lost)
        if self._has_room:
            # Once after all acks of a read, so that waiting publications go out in one write.
            self._has_room = False
            self.send_waiting()
            if not len(self._outbox):
                self.quiet.set()
        if deliveries:
            self._on_deliveries(deliveries)
        if self._window.is_full and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _take(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PubAckPacket():
                if packet.reason_code not in _ACCEPTED:
                    # Not tried again: the agent resends its envelopes, and then gets a receipt.
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
                raise ConnectionLost(str(causes.of_reason(int(packet.reason_code))))
            case _:
                raise ProtocolViolation("The broker sent a packet that only a client may send.")

    def _take_publish(
        self, packet: mqtt5.PublishPacket, deliveries: list[Delivery], received_ms: int
    ) -> None:
        if packet.qos == mqtt5.QoS.EXACTLY_ONCE or not packet.topic:
            raise ProtocolViolation(
                "The broker sent a message with QoS 2 or with a topic alias, neither of which"
                " ingest has asked for."
            )
        if self._is_closing:
            # It is not acknowledged, and the broker resends it at the next start.
            return
        delivery = Delivery(
            packet.topic, packet.payload, packet.packet_id, self._generation, received_ms
        )
        self._window.add(delivery)
        deliveries.append(delivery)

    def _take_connack(self, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise ConnectionLost(str(causes.of_reason(int(packet.reason_code))))
        if self._in_flight_limit:
            raise ProtocolViolation("The broker sent a second CONNACK.")
        self._in_flight_limit = min(packet.receive_max, _MAX_IN_FLIGHT)
        if packet.server_keep_alive:
            # Effective at once, because the next ping may be later than the broker waits. A Server
            # Keep Alive of 0 asks for no pings; ingest sends them to detect a dead connection.
            self._keep_alive_s = packet.server_keep_alive
            self._schedule_ping()
        self._session_present = packet.session_present
        # Subscribe on every connection: the broker may have lost the session, and it then sends
        # the retained states again.
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
            refused = next(
                (int(code) for code in codes if code not in _GRANTED), causes.UNSPECIFIED
            )
            raise ConnectionLost(f"the broker refused a subscription: {causes.of_reason(refused)}")
        if not self.subscribed.done():
            self.subscribed.set_result(self._session_present)

    # Called by the receiver.

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Settle *deliveries*, and send in one write the acks that the window releases."""
        acks = [mqtt5.PubAckPacket(i).write() for i in self._window.settle(deliveries)]
        if acks:
            self._write(b"".join(acks))
        if self._is_paused and not self._window.is_full and self._transport is not None:
            self._is_paused = False
            # Reading was paused, so that silence does not mean a dead connection.
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    @property
    def owed(self) -> int:
        """Number of unsettled deliveries."""
        return len(self._window)

    def send_waiting(self) -> None:
        """Publish waiting messages of the outbox, up to the Receive Maximum of the broker."""
        self._publish(self._outbox.take(limit=self._in_flight_limit), is_duplicate=False)

    def _publish(self, publications: list[Publication], *, is_duplicate: bool) -> None:
        if publications:
            encoded = [_encode(one, is_duplicate=is_duplicate) for one in publications]
            self._write(b"".join(encoded))

    def stop_receiving(self) -> None:
        """Take no further deliveries, and acknowledge none that still arrive."""
        self._is_closing = True

    def close(self) -> None:
        """Send DISCONNECT and close; the broker keeps the session."""
        if self._transport is not None and not self.ended.done():
            self._write(mqtt5.DisconnectPacket().write())
            self._transport.close()

    def abort(self) -> None:
        """End the connection without DISCONNECT."""
        self._finish(ConnectionLost("Ingest ended the connection to the broker."))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _ping(self) -> None:
        """Send PINGREQ, or end the connection if the broker is silent [MQTT-3.1.2-20]."""
        silent_s = self._loop.time() - self._heard_at
        if not self._is_paused and silent_s > 1.5 * self._keep_alive_s:
            self._finish(ConnectionLost(str(causes.SILENT)))
            return
        if self._in_flight_limit:
            self._write(mqtt5.PingReqPacket().write())
        self._schedule_ping()

    def _schedule_ping(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._keep_alive_s / 2, self._ping)

    def _finish(self, why: ConnectionLost) -> None:
        if self.ended.done():
            return
        self.ended.set_result(why)
        self.subscribed.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()


def _encode(publication: Publication, *, is_duplicate: bool) -> bytes:
    return mqtt5.PublishPacket(
        publication.topic,
        publication.payload,
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        retain=True,
        packet_id=publication.packet_id,
        duplicate=is_duplicate,
    ).write()


def _subscription(topic: str) -> mqtt5.TopicFilter:
    # States are retained messages. Envelopes must not be retained; if a gateway has published one
    # as retained nevertheless, the broker does not send it again at each connection.
    is_state = topic == topics.ALL_STATES
    handling = mqtt5.RetainHandling
    return mqtt5.TopicFilter(
        topic,
        max_qos=mqtt5.QoS.AT_LEAST_ONCE,
        retain_handling=handling.SEND_ALWAYS if is_state else handling.SEND_NEVER,
    )
