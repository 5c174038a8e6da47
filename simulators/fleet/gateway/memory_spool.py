"""
What one gateway has sealed and no receipt has covered, and in which order it is published. Pure.

An agent keeps this on disk; a fleet's gateways do not survive their process and keep it in memory.
"""

from typing import Final

from simulators.fleet.scenario.plan import Act
from wire.receipt import SpoolReceipt

WINDOW: Final = 20
"""How many publications may be unacknowledged, as an agent has it."""
_FIRST_ID: Final = 2
_LAST_ID: Final = 0xFFF0
_TWICE: Final = Act.SEND_TWICE
_LATE: Final = Act.SEND_LATE


class Waiting:
    """An envelope that no receipt has covered; `place` is where the journal has it."""

    __slots__ = ("payload", "place", "published_at")

    def __init__(self, payload: bytes, place: int) -> None:
        self.payload = payload
        self.place = place
        self.published_at = 0.0


class MemorySpool:
    """Envelopes by sequence, ascending; the line in which they wait; and the packets under way."""

    __slots__ = ("_held", "_in_flight", "_last_id", "_limit", "line", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, Waiting] = {}
        self.line: list[int] = []
        """What is to be published, in this order."""
        self._in_flight: dict[int, int] = {}
        self._held: int | None = None
        self._limit = WINDOW
        self._last_id = _FIRST_ID

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, act: Act, sequence: int, waiting: Waiting) -> None:
        """Put an envelope in line: twice, or behind the next one, if *act* says so."""
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
        """Put in line what was to be behind the next one."""
        if self._held is not None:
            self.line.append(self._held)
            self._held = None

    def take(self) -> list[tuple[int, Waiting]]:
        """Return what to publish now, each under its packet id, as far as the window goes."""
        taken = []
        while self.line and len(self._in_flight) < self._limit:
            sequence = self.line.pop(0)
            waiting = self.waiting.get(sequence)
            if waiting is not None:
                taken.append((self.claim(sequence), waiting))
        return taken

    def claim(self, sequence: int = 0) -> int:
        """Return a packet id for *sequence*, or for what has none."""
        while True:
            self._last_id = self._last_id + 1 if self._last_id < _LAST_ID else _FIRST_ID
            if self._last_id not in self._in_flight:
                self._in_flight[self._last_id] = sequence
                return self._last_id

    def acknowledged(self, packet_id: int) -> int | None:
        """Return the sequence that *packet_id* stood for; 0 for none, None for an unknown id."""
        return self._in_flight.pop(packet_id, None)

    def reconnected(self, *, limit: int) -> None:
        """Put everything in line anew; at most *limit* packets may be under way."""
        self._limit = min(WINDOW, limit)
        self._in_flight.clear()
        self.line = [sequence for sequence in self.waiting if sequence != self._held]

    def put_overdue(self, before: float) -> None:
        """Put in line again what was published before an instant, if the line is empty."""
        if self.waiting and not self.line:
            self.line = [
                sequence
                for sequence, waiting in self.waiting.items()
                if 0 < waiting.published_at < before
            ]

    def forget(self, receipt: SpoolReceipt) -> list[tuple[int, Waiting]]:
        """Forget and return exactly what *receipt* covers."""
        waiting, through = self.waiting, receipt.through
        covered = []
        for sequence in list(waiting):
            if sequence <= through or (receipt.ranges and receipt.covers(sequence)):
                covered.append((sequence, waiting.pop(sequence)))
        return covered

    def purge(self) -> list[Waiting]:
        """Forget and return what was never published."""
        self.release()
        unsent = [s for s, waiting in self.waiting.items() if not waiting.published_at]
        purged = [self.waiting.pop(sequence) for sequence in unsent]
        self.line = [sequence for sequence in self.line if sequence in self.waiting]
        return purged

    def floor(self, *, following: int) -> int:
        """Return below which sequence nothing will be sent; *following* is the next new one."""
        return min(self.waiting, default=following)
