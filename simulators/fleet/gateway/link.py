"""
The MQTT 5 connection of one gateway, as an asyncio protocol on top of TLS.

The codec is `mqtt5`. A link does not interpret messages: it passes them to its owner.
"""

import asyncio
import functools
import ssl
import time
from collections.abc import Sequence
from typing import Final, Protocol, cast

import mqtt5

from simulators.fleet.errors import LinkEnded

_MAX_REST_BYTES: Final = 262_144
"""The most that is kept of a packet whose end has not arrived."""
_SUBSCRIBE_ID: Final = 1
_MOST_OWED_BYTES: Final = 40
"""Ten acknowledgements. Brokers stop sending when twenty or more are missing."""
_PubAck: Final = mqtt5.PubAckPacket
_Publish: Final = mqtt5.PublishPacket


class LinkOwner(Protocol):
    """The gateway that a connection belongs to."""

    def connect_packet(self) -> bytes:
        """Return the CONNECT packet."""
        ...

    def subscriptions(self) -> Sequence[str]:
        """Return the topics to subscribe to, at QoS 1."""
        ...

    def came_up(self, receive_max: int) -> None:
        """Note that all topics are subscribed; at most *receive_max* packets may be in flight."""
        ...

    def received(self, topic: str, payload: bytes) -> None:
        """Take a message: its topic and its payload."""
        ...

    def acknowledged(self, packet_id: int, *, is_refused: bool) -> None:
        """Note that the broker accepted or refused a publication."""
        ...

    def went_down(self, why: LinkEnded) -> None:
        """Note that the connection is lost. Called once for each connection."""
        ...


class MqttLink(asyncio.Protocol):
    """
    A connection from its first byte to its last.

    asyncio calls `connection_made` after the TLS handshake.

    Args:
        owner: The gateway.
    """

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._receive_max = 0
        self._rest = b""
        self._acks = b""
        self._closed: asyncio.Future[None] | None = None
        self.is_over = False
        self.is_paused = False
        self.heard_at = 0.0
        """When something arrived last, in seconds since 1970."""

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the CONNECT packet."""
        self._transport = cast(asyncio.Transport, transport)
        if self.is_over:
            # The gateway left during the handshake.
            self._transport.abort()
            return
        self._transport.write(self._owner.connect_packet())

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is closed, or was reset."""
        self._transport = None
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        if isinstance(exc, ssl.SSLError):
            self.end("tls")
        else:
            self.end("closed" if exc is None else "reset")

    def data_received(self, data: bytes) -> None:
        """Take *data*, which has been decrypted."""
        if self.is_over:
            return
        self.heard_at = time.time()
        try:
            self._read(memoryview(self._rest + data) if self._rest else memoryview(data))
        except LinkEnded as why:
            self.end(why.kind)
            return
        if len(self._acks) >= _MOST_OWED_BYTES:
            self.write(b"")

    def _read(self, view: memoryview) -> None:
        while view and not self.is_over:
            try:
                packet, length = mqtt5.read(view)
            except IndexError:
                break
            except ValueError:
                raise LinkEnded("not_mqtt") from None
            view = view[length:]
            self._take(packet)
        if len(view) > _MAX_REST_BYTES:
            raise LinkEnded("not_mqtt")
        self._rest = bytes(view)

    def _take(self, packet: mqtt5.Packet) -> None:
        # Not `match`: nearly all packets are of these two types, and a pattern costs more.
        if isinstance(packet, _PubAck):
            # Reason codes are enumerations without an order; every failure has bit 7 set.
            self._owner.acknowledged(packet.packet_id, is_refused=int(packet.reason_code) >= 0x80)
        elif isinstance(packet, _Publish):
            if (packet_id := packet.packet_id) is not None:
                # Sent with the next write: a write of its own costs as much as an envelope.
                self._acks += _puback(packet_id)
            self._owner.received(packet.topic, packet.payload)
        else:
            self._take_rarer(packet)

    def _take_rarer(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.ConnAckPacket():
                self._take_connack(packet)
            case mqtt5.SubAckPacket():
                if any(int(code) >= 0x80 for code in packet.reason_codes):
                    raise LinkEnded("subscription_refused")
                self._owner.came_up(self._receive_max)
            case mqtt5.PingRespPacket():
                pass
            case mqtt5.DisconnectPacket():
                raise LinkEnded(f"broker_{packet.reason_code.name.lower()}")
            case _:
                raise LinkEnded("not_mqtt")

    def _take_connack(self, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise LinkEnded(f"refused_{packet.reason_code.name.lower()}")
        self._receive_max = packet.receive_max
        filters = [
            mqtt5.TopicFilter(f, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
            for f in self._owner.subscriptions()
        ]
        self.write(mqtt5.SubscribePacket(_SUBSCRIBE_ID, filters).write())

    # Called by the gateway.

    def write(self, data: bytes) -> None:
        """Send *data* and the acknowledgements that are owed, in one TLS record."""
        if self.is_over or self._transport is None:
            return
        if self._acks:
            data, self._acks = self._acks + data, b""
        if data:
            self._transport.write(data)

    def stop_reading(self) -> None:
        """Read nothing that the broker sends, until `read_again`."""
        if self._transport is not None:
            self.is_paused = True
            self._transport.pause_reading()

    def read_again(self) -> None:
        """Read what the broker sends again."""
        if self._transport is not None:
            self.is_paused = False
            self._transport.resume_reading()

    def end(self, kind: str) -> None:
        """Abort the connection without a DISCONNECT, as a failing network does."""
        if self.is_over:
            return
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()
        self._owner.went_down(LinkEnded(kind))

    def close(self) -> asyncio.Future[None]:
        """Send a DISCONNECT and what is buffered; the future is done when the socket is closed."""
        self._closed = asyncio.get_running_loop().create_future()
        if self.is_over or self._transport is None:
            self._closed.set_result(None)
        else:
            self.write(mqtt5.DisconnectPacket().write())
            self._transport.close()
        self.is_over = True
        return self._closed


@functools.lru_cache(maxsize=1024)
def _puback(packet_id: int) -> bytes:
    # A broker counts from 1 on each connection, so that thousands of connections use few ids.
    return mqtt5.PubAckPacket(packet_id).write()
