"""
The envelopes of one gateway that have no receipt yet, and the order of their publication. Pure.

An agent keeps this on disk; the gateways of a fleet end with their process and keep it in memory.
"""

from typing import Final

from simulators.fleet.scenario.plan import Act
from wire.receipt import SpoolReceipt

WINDOW: Final = 20
"""The most publications without an acknowledgement, as in an agent."""
_FIRST_ID: Final = 2
_LAST_ID: Final = 0xFFF0
_TWICE: Final = Act.SEND_TWICE
_LATE: Final = Act.SEND_LATE


class Waiting:
    """An envelope without a receipt; `place` is its index in the journal."""

    __slots__ = ("payload", "place", "published_at")

    def __init__(self, payload: bytes, place: int) -> None:
        self.payload = payload
        self.place = place
        self.published_at = 0.0


class MemorySpool:
    """Envelopes by ascending sequence, the queue to be published, and the packet ids in flight."""

    __slots__ = ("_held", "_in_flight", "_last_id", "_limit", "line", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, Waiting] = {}
        self.line: list[int] = []
        """Sequences that are to be published, in this order."""
        self._in_flight: dict[int, int] = {}
        self._held: int | None = None
        self._limit = WINDOW
        self._last_id = _FIRST_ID

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, act: Act, sequence: int, waiting: Waiting) -> None:
        """Queue an envelope: twice, or behind the next one, if *act* says so."""
        self.waiting[sequence] = waiting
        if act is _LATE and self._held is None:
            self._held = sequence
            return
        self.line.append(sequence)
        if act is _TWICE:
            self.line.append(sequence)
        if self._held is not None:
            self.release()

    def release(self) -> None:
        """Queue the envelope that was held back for the next one."""
        if self._held is not None:
            self.line.append(self._held)
            self._held = None

    def take(self) -> list[tuple[int, Waiting]]:
        """
        Return the envelopes to publish now with their packet ids, as far as the
        window allows.
        """
        taken = []
        while self.line and len(self._in_flight) < self._limit:
            sequence = self.line.pop(0)
            waiting = self.waiting.get(sequence)
            if waiting is not None:
                taken.append((self.claim(sequence), waiting))
        return taken

    def claim(self, sequence: int = 0) -> int:
        """Return a packet id for *sequence*; 0 stands for a packet without one."""
        while True:
            self._last_id = self._last_id + 1 if self._last_id < _LAST_ID else _FIRST_ID
            if self._last_id not in self._in_flight:
                self._in_flight[self._last_id] = sequence
                return self._last_id

    def acknowledged(self, packet_id: int) -> int | None:
        """
        Return the sequence of *packet_id*; 0 for a packet without one, None for an
        unknown id.
        """
        return self._in_flight.pop(packet_id, None)

    def reconnected(self, *, limit: int) -> None:
        """Queue everything again; at most *limit* packets may be in flight."""
        self._limit = min(WINDOW, limit)
        self._in_flight.clear()
        self.line = [sequence for sequence in self.waiting if sequence != self._held]

    def put_overdue(self, before: float) -> None:
        """Queue again what was published before *before*, if the queue is empty."""
        if self.waiting and not self.line:
            self.line = [
                sequence
                for sequence, waiting in self.waiting.items()
                if 0 < waiting.published_at < before
            ]

    def forget(self, receipt: SpoolReceipt) -> list[tuple[int, Waiting]]:
        """Remove and return exactly the envelopes that *receipt* covers."""
        waiting, through = self.waiting, receipt.through
        covered = []
        for sequence in list(waiting):
            if sequence <= through or (receipt.ranges and receipt.covers(sequence)):
                covered.append((sequence, waiting.pop(sequence)))
        return covered

    def purge(self) -> list[Waiting]:
        """Remove and return the envelopes that were never published."""
        self.release()
        unsent = [s for s, waiting in self.waiting.items() if not waiting.published_at]
        purged = [self.waiting.pop(sequence) for sequence in unsent]
        self.line = [sequence for sequence in self.line if sequence in self.waiting]
        return purged

    def floor(self, *, following: int) -> int:
        """
        Return the sequence below which nothing will be sent; *following* is the next
        new one.
        """
        return min(self.waiting, default=following)
