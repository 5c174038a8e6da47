"""The window: the unsettled deliveries of one connection, in the order of receipt. Pure."""

from collections import deque
from collections.abc import Iterable

from ingest.values.delivery import Delivery


class Window:
    """
    Releases acks in the order of receipt [MQTT-4.6.0-2]: each waits for the earlier ones.

    A delivery of QoS 0 needs no ack, and counts for the window nevertheless: the broker applies no
    window to QoS 0, and a client that publishes with QoS 0 could otherwise fill the memory while
    the database is away.

    Args:
        bound: Number of unsettled deliveries at which reading pauses. Ingest needs a limit of its
            own, because some brokers (mosquitto up to 2.0.13) exceed the Receive Maximum.

        max_bytes: The same in bytes, because an envelope may have 250 bytes or 65,536.
    """

    def __init__(self, *, bound: int, max_bytes: int = 33_554_432) -> None:
        self._bound = bound
        self._max_bytes = max_bytes
        self._bytes = 0
        self._owed: deque[Delivery] = deque()

    def __len__(self) -> int:
        return len(self._owed)

    @property
    def is_full(self) -> bool:
        """Whether reading must pause."""
        return len(self._owed) >= self._bound or self._bytes >= self._max_bytes

    def add(self, delivery: Delivery) -> None:
        """Hold *delivery* until it is settled."""
        self._owed.append(delivery)
        self._bytes += len(delivery.payload)

    def settle(self, deliveries: Iterable[Delivery]) -> list[int]:
        """Settle *deliveries*; return the packet ids that may be acknowledged now."""
        for delivery in deliveries:
            # A delivery of an older connection is in no window any more: its packet id, which the
            # broker may have used again, is never returned.
            delivery.settled = True
        ready = []
        while self._owed and self._owed[0].settled:
            delivery = self._owed.popleft()
            self._bytes -= len(delivery.payload)
            if delivery.packet_id is not None:
                ready.append(delivery.packet_id)
        return ready
