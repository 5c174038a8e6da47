"""The outbox: receipts on their way to the broker, only the newest for each topic. Pure."""

from collections import OrderedDict

import msgspec


class Publication(msgspec.Struct, frozen=True):
    """A PUBLISH that was sent and that the broker has not acknowledged."""

    packet_id: int
    topic: str
    payload: bytes


class Outbox:
    """
    Retained messages to publish at QoS 1.

    A newer payload replaces one that waits on the same topic. The outbox outlives connections;
    messages that were in flight on the connection before are sent again.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._in_flight: dict[int, Publication] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, topic: str, payload: bytes) -> None:
        """Queue *payload* for *topic*."""
        self._waiting[topic] = payload

    def take(self, *, limit: int) -> list[Publication]:
        """Return the messages to publish now, so that at most *limit* are in flight."""
        taken = []
        while self._waiting and len(self._in_flight) < limit:
            topic, payload = self._waiting.popitem(last=False)
            publication = Publication(self._free_id(), topic, payload)
            self._in_flight[publication.packet_id] = publication
            taken.append(publication)
        return taken

    def _free_id(self) -> int:
        # Packet id 1 belongs to the subscription.
        while True:
            self._last_id = self._last_id + 1 if 2 <= self._last_id + 1 < 0xFFFF else 2
            if self._last_id not in self._in_flight:
                return self._last_id

    def acknowledged(self, packet_id: int) -> bool:
        """Remove the message with *packet_id*; return whether it was in flight."""
        return self._in_flight.pop(packet_id, None) is not None

    def resend(self, *, limit: int) -> list[Publication]:
        """
        Return the messages that were in flight on a session that the broker still has
        [MQTT-4.4.0-1].

        The broker may now accept fewer messages in flight [MQTT-3.3.4-7]: those above *limit* are
        queued again.
        """
        publications = list(self._in_flight.values())
        self._wait_again(publications[limit:])
        return publications[:limit]

    def lose_session(self) -> None:
        """Queue the messages in flight again, because the broker has lost the session."""
        self._wait_again(list(self._in_flight.values()))

    def _wait_again(self, publications: list[Publication]) -> None:
        for publication in reversed(publications):
            del self._in_flight[publication.packet_id]
            if publication.topic not in self._waiting:
                self._waiting[publication.topic] = publication.payload
                self._waiting.move_to_end(publication.topic, last=False)
