"""
One gateway's connection: MQTT 5 inside TLS 1.3 inside an `asyncio.Protocol`, as small as it goes.

TLS runs over memory buffers and not in asyncio's own layer, which holds a quarter of a megabyte a
connection. The codec is `mqtt5`. Knows nothing of envelopes: it tells its owner what came.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import Final, Protocol, cast

import mqtt5

from simulators.fleet.errors import LinkEnded

_READ_BYTES: Final = 65_536
_PIECE_BYTES: Final = 512
_MAX_REST_BYTES: Final = 262_144
_SUBSCRIBE_ID: Final = 1


class Owner(Protocol):
    """Whose connection it is."""

    def connect_packet(self) -> bytes:
        """Return the CONNECT to begin with."""
        ...

    def subscriptions(self) -> Sequence[str]:
        """Return what to subscribe to, at QoS 1."""
        ...

    def came_up(self, receive_max: int) -> None:
        """Take note that everything is subscribed."""
        ...

    def received(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        ...

    def acknowledged(self, packet_id: int, *, is_refused: bool) -> None:
        """Take note that the broker has a publication, or may not take it."""
        ...

    def went_down(self, why: LinkEnded) -> None:
        """Take note that the connection is gone."""
        ...


class Link(asyncio.Protocol):
    """
    A connection from its first byte to its last.

    Args:
        owner: Whose it is.

        tls: Over *incoming* and *outgoing*.

        incoming: What came from the network and is not yet decrypted.

        outgoing: What is encrypted and not yet on the network.
    """

    __slots__ = (
        "_acks", "_incoming", "_is_secure", "_outgoing", "_owner", "_receive_max", "_rest",
        "_tls", "_transport", "heard_at", "is_over", "is_paused",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self._owner = owner
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._transport: asyncio.Transport | None = None
        self._is_secure = False
        self._receive_max = 0
        self._rest = b""
        self._acks = b""
        self.is_over = False
        self.is_paused = False
        self.heard_at = 0.0
        """When something last came, by the wall clock."""

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._shake_hands()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("closed" if exc is None else "reset")

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        incoming = self._incoming
        self.heard_at = time.time()
        try:
            if self._is_secure:
                incoming.write(data)
            elif not self._shake_hands_over(data):
                return
            while incoming.pending and self._transport is not None:
                plain = self._tls.read(_READ_BYTES)
                if not plain:
                    self.end("closed")
                    return
                self._read(plain)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.end("tls")
        except LinkEnded as why:
            self.end(why.kind)

    def _shake_hands_over(self, data: bytes) -> bool:
        """Go on with the handshake piece by piece: the buffer never shrinks to what it was."""
        is_done = False
        for begin in range(0, len(data), _PIECE_BYTES):
            self._incoming.write(data[begin : begin + _PIECE_BYTES])
            is_done = is_done or self._shake_hands()
            if self.is_over:
                return False
        return is_done

    def _shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except (ssl.SSLError, ssl.CertificateError):
            self._flush()
            self.end("tls")
            return False
        self._is_secure = True
        self._tls.write(self._owner.connect_packet())
        self._flush()
        return True

    def _read(self, plain: bytes) -> None:
        source = self._rest + plain if self._rest else plain
        position, size = 0, len(source)
        with memoryview(source) as view:
            while position < size:
                try:
                    packet, length = mqtt5.read(view[position:])
                except IndexError:
                    break
                except ValueError:
                    raise LinkEnded("not_mqtt") from None
                position += length
                self._take(packet)
        self._rest = source[position:] if position < size else b""
        if len(self._rest) > _MAX_REST_BYTES:
            raise LinkEnded("not_mqtt")

    def _take(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PubAckPacket():
                # Types of reason codes cannot be compared by size; every failure has bit 7.
                self._owner.acknowledged(
                    packet.packet_id, is_refused=int(packet.reason_code) >= 0x80
                )
            case mqtt5.PublishPacket():
                if packet.packet_id is not None:
                    # Owed, and sent with what comes next: alone it costs as much as an envelope.
                    self._acks += mqtt5.PubAckPacket(packet.packet_id).write()
                self._owner.received(packet.topic, packet.payload)
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

    # The owner's side.

    def write(self, data: bytes) -> None:
        """Send *data*, and the acknowledgements that are owed, in one TLS record."""
        if self.is_over or not self._is_secure:
            return
        if self._acks:
            data, self._acks = self._acks + data, b""
        if data:
            self._tls.write(data)
            self._flush()

    @property
    def owes(self) -> bool:
        """Whether acknowledgements wait to be sent."""
        return bool(self._acks)

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def stop_reading(self) -> None:
        """Read nothing that the broker sends, until told to."""
        if self._transport is not None and not self.is_over:
            self.is_paused = True
            self._transport.pause_reading()

    def read_again(self) -> None:
        """Read again."""
        if self._transport is not None and not self.is_over:
            self.is_paused = False
            self._transport.resume_reading()

    def end(self, kind: str) -> None:
        """End it without a goodbye, as a network does."""
        if self.is_over:
            return
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._owner.went_down(LinkEnded(kind))

    def close(self) -> None:
        """Say goodbye."""
        if not self.is_over:
            self.write(mqtt5.DisconnectPacket().write())
            self.is_over = True
            if self._transport is not None:
                self._transport.close()
                self._transport = None
