"""
One gateway's connection: MQTT 5 inside TLS 1.3, as small as it goes.

TLS runs over two memory buffers that all connections of a process share: each takes out whatever
is in them before anybody else has a turn. The codec is `mqtt5`. Knows nothing of envelopes: it
tells its owner what came.
"""

import functools
import ssl
import time
from collections.abc import Sequence
from typing import Final, Protocol

import mqtt5

from simulators.fleet.errors import LinkEnded

_RECORD_BYTES: Final = 16_384
"""The most that a TLS record holds, so that a read leaves nothing of one behind."""
_MAX_REST_BYTES: Final = 262_144
_SUBSCRIBE_ID: Final = 1
_MOST_OWED_BYTES: Final = 40
"""Ten acknowledgements: brokers stop at twenty that they wait for, or later."""
_WORTH_WAKING_BYTES: Final = 64
"""Two acknowledgements are less, and a receipt is more: they are read together."""
_PubAck: Final = mqtt5.PubAckPacket
_Publish: Final = mqtt5.PublishPacket
_plain: Final = memoryview(bytearray(_RECORD_BYTES))
"""What one record held, of whichever connection; of no interest once it is read."""


class Carrier(Protocol):
    """What carries it."""

    def send(self, data: bytes) -> None:
        """Send *data*."""
        ...

    def look(self) -> None:
        """Take what has come, however little it is."""
        ...

    def wake_at(self, count: int) -> None:
        """Let less than *count* bytes lie until more come, or somebody looks."""
        ...

    def pause_reading(self) -> None:
        """Leave what comes to the network."""
        ...

    def resume_reading(self) -> None:
        """Take it again."""
        ...

    def abort(self) -> None:
        """End it at once."""
        ...

    def close(self) -> None:
        """End it once what was sent is on its way."""
        ...


class LinkOwner(Protocol):
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


class MqttLink:
    """
    A connection from its first byte to its last. Fills the port `Handler` of a switchboard.

    Args:
        owner: Whose it is.

        tls: Over *incoming* and *outgoing*.

        incoming: What came from the network and is not yet decrypted; empty between two calls.

        outgoing: What is encrypted and not yet on the network; empty between two calls.
    """

    __slots__ = (
        "_acks", "_is_secure", "_owner", "_receive_max", "_rest", "_tls", "heard_at", "incoming",
        "is_over", "is_paused", "line", "outgoing",
    )  # fmt: skip

    def __init__(
        self,
        owner: LinkOwner,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self._owner = owner
        self._tls = tls
        self.incoming = incoming
        self.outgoing = outgoing
        self._is_secure = False
        self._receive_max = 0
        self._rest = b""
        self._acks = b""
        self.line: Carrier | None = None
        self.is_over = False
        self.is_paused = False
        self.heard_at = 0.0
        """When something last came, by the wall clock."""

    # The line's side.

    def opened(self) -> None:
        """Begin the handshake."""
        self._shake_hands()

    def lost(self, kind: str) -> None:
        """Take note that the line is gone."""
        self.end(kind)

    def heard(self, data: bytes) -> None:
        """Take what came."""
        self.heard_at = time.time()
        self.incoming.write(data)
        try:
            if self._is_secure or self._shake_hands():
                self._read_all()
                if len(self._acks) >= _MOST_OWED_BYTES:
                    self.write(b"")
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._flush()
            self.end("tls")
        except LinkEnded as why:
            self.end(why.kind)
        finally:
            if self.is_over:
                # The next to use them must not find what was ours.
                self.incoming.read()
                self.outgoing.read()

    def _read_all(self) -> None:
        read, incoming = self._tls.read, self.incoming
        while incoming.pending and not self.is_over:
            # Given a buffer it returns how much it has put there; the stubs do not know that.
            count: int = read(_RECORD_BYTES, _plain)  # type: ignore[assignment]
            if not count:
                raise LinkEnded("closed")
            self._read(_plain[:count])

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

    def _read(self, plain: memoryview) -> None:
        view = memoryview(self._rest + plain) if self._rest else plain
        while view:
            try:
                packet, length = mqtt5.read(view)
            except IndexError:
                break
            except ValueError:
                raise LinkEnded("not_mqtt") from None
            view = view[length:]
            self._take(packet)
        if view or self._rest:
            self._keep(bytes(view))

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of a packet until the rest comes."""
        if len(rest) > _MAX_REST_BYTES:
            raise LinkEnded("not_mqtt")
        self._rest = rest

    def _take(self, packet: mqtt5.Packet) -> None:
        # Not `match`: these two are nearly all that comes, and a pattern costs more than both.
        if isinstance(packet, _PubAck):
            # Types of reason codes cannot be compared by size; every failure has bit 7.
            self._owner.acknowledged(packet.packet_id, is_refused=int(packet.reason_code) >= 0x80)
        elif isinstance(packet, _Publish):
            if (packet_id := packet.packet_id) is not None:
                # Owed, and sent with what comes next: alone it costs as much as an envelope.
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
                if self.line is not None:
                    self.line.wake_at(_WORTH_WAKING_BYTES)
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
            try:
                self._tls.write(data)
            except ssl.SSLError:
                self.outgoing.read()
                self.end("tls")
                return
            self._flush()

    def _flush(self) -> None:
        if (data := self.outgoing.read()) and self.line is not None:
            self.line.send(data)

    def look(self) -> None:
        """Take what has come and was not worth waking for."""
        if self.line is not None and self._is_secure and not self.is_paused:
            self.line.look()

    def stop_reading(self) -> None:
        """Read nothing that the broker sends, until told to."""
        if self.line is not None:
            self.is_paused = True
            self.line.pause_reading()

    def read_again(self) -> None:
        """Read again."""
        if self.line is not None:
            self.is_paused = False
            self.line.resume_reading()

    def end(self, kind: str) -> None:
        """End it without a goodbye, as a network does."""
        if self.is_over:
            return
        self.is_over = True
        line, self.line = self.line, None
        if line is not None:
            line.abort()
        self._owner.went_down(LinkEnded(kind))

    def close(self) -> None:
        """Say goodbye."""
        if not self.is_over:
            self.write(mqtt5.DisconnectPacket().write())
            self.is_over = True
            line, self.line = self.line, None
            if line is not None:
                line.close()


@functools.lru_cache(maxsize=1024)
def _puback(packet_id: int) -> bytes:
    # A broker counts from one on each connection, so that thousands need the same few.
    return mqtt5.PubAckPacket(packet_id).write()
