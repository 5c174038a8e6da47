"""Splits the bytes of one connection into MQTT 5 packets. Pure."""

from collections.abc import Iterator
from typing import Final

import mqtt5

from ingest.errors import ProtocolViolation

MAX_PACKET_BYTES: Final = 131_072
"""The Maximum Packet Size that ingest announces [MQTT-3.1.2-24]: twice the largest envelope."""


class PacketReader:
    """Buffers the bytes that are received until they form whole packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[mqtt5.Packet]:
        """
        Yield each packet that *data* completes; keep the rest for the next call.

        Raises:
            ProtocolViolation: The bytes are not MQTT 5, or a packet is too large.
        """
        source: bytes | bytearray = data
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
                    raise ProtocolViolation("The broker sent bytes that are not MQTT 5.") from None
                position += size
                yield packet
        if source is self._buffer:
            # Deleting from the front of a bytearray moves a pointer and copies nothing.
            del self._buffer[:position]
        elif position < len(data):
            self._buffer += data[position:]
        if len(self._buffer) > 2 * MAX_PACKET_BYTES:
            raise ProtocolViolation(
                "The broker sent a packet that is larger than the announced maximum."
            )
