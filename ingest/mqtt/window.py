"""The window: deliveries of one connection that are not settled, in the order of receipt. Pure."""

from collections import deque
from collections.abc import Iterable

from ingest.values.delivery import Delivery


class Window:
    """
    Acks go out in the order of receipt [MQTT-4.6.0-2]: a settled delivery waits for those before.

    One of QoS 0 is owed no ack, and holds its place all the same: the broker keeps no window for
    it, and whoever publishes with QoS 0 would fill the memory while the database is away.

    Args:
        bound: From how many unsettled deliveries on nothing more is read. A bound of our own,
            because some brokers (mosquitto up to 2.0.13) overrun the Receive Maximum that they
            were told.

        max_bytes: The same in bytes, because an envelope may have 250 or 65,536.
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
        """Hold *delivery* until it is settled, and owe its ack, if it has one."""
        self._owed.append(delivery)
        self._bytes += len(delivery.payload)

    def settle(self, deliveries: Iterable[Delivery]) -> list[int]:
        """Return the packet ids that may be acknowledged now that *deliveries* are settled."""
        for delivery in deliveries:
            # One of an older connection is in no window any more: its packet id, which may be
            # another envelope's by now, is never looked at.
            delivery.settled = True
        ready = []
        while self._owed and self._owed[0].settled:
            delivery = self._owed.popleft()
            self._bytes -= len(delivery.payload)
            if delivery.packet_id is not None:
                ready.append(delivery.packet_id)
        return ready
