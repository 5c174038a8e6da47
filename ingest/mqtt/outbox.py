"""The outbox: receipts on their way to the broker; of each topic only the newest. Pure."""

from collections import OrderedDict

import msgspec


class Publication(msgspec.Struct, frozen=True):
    """A PUBLISH of ours that the broker has not acknowledged."""

    packet_id: int
    topic: str
    payload: bytes


class Outbox:
    """
    Retained messages to publish at QoS 1.

    A topic that waits is overwritten by a newer payload: only the last one counts. Outlives
    connections; what was in flight on the one before is sent again.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._in_flight: dict[int, Publication] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, topic: str, payload: bytes) -> None:
        """Have *payload* published on *topic*."""
        self._waiting[topic] = payload

    def take(self, *, limit: int) -> list[Publication]:
        """Return what to publish now, so that at most *limit* are in flight."""
        taken = []
        while self._waiting and len(self._in_flight) < limit:
            topic, payload = self._waiting.popitem(last=False)
            publication = Publication(self._free_id(), topic, payload)
            self._in_flight[publication.packet_id] = publication
            taken.append(publication)
        return taken

    def _free_id(self) -> int:
        # 1 is the subscription's.
        while True:
            self._last_id = self._last_id + 1 if 2 <= self._last_id + 1 < 0xFFFF else 2
            if self._last_id not in self._in_flight:
                return self._last_id

    def acknowledged(self, packet_id: int) -> bool:
        """Forget what *packet_id* published; tell whether it was known."""
        return self._in_flight.pop(packet_id, None) is not None

    def resend(self, *, limit: int) -> list[Publication]:
        """
        Return what was in flight on a session that the broker still has [MQTT-4.4.0-1].

        A broker may take fewer at once than it did before [MQTT-3.3.4-7]: what is above *limit*
        waits, and goes out anew.
        """
        publications = list(self._in_flight.values())
        self._wait_again(publications[limit:])
        return publications[:limit]

    def lose_session(self) -> None:
        """Have what was in flight published anew: the broker has forgotten it."""
        self._wait_again(list(self._in_flight.values()))

    def _wait_again(self, publications: list[Publication]) -> None:
        for publication in reversed(publications):
            del self._in_flight[publication.packet_id]
            if publication.topic not in self._waiting:
                self._waiting[publication.topic] = publication.payload
                self._waiting.move_to_end(publication.topic, last=False)
