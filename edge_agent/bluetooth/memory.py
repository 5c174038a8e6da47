"""
Records on their way out of a sensor's memory: put in order, joined with their contexts. Pure.

The port is owed records in order, and a cursor moves past whatever is before it. So a record is
let go only when none can come any more that belongs before it: it follows the last one directly,
or a later one has come, from a sensor that counts up; or the report is complete.
"""

from typing import Final, Generic, TypeVar

import msgspec

from edge_agent.bluetooth.errors import Endless

R = TypeVar("R")
C = TypeVar("C")

MAX_HELD: Final = 20_000
"""Two weeks of a CGM sensor that measures each minute."""
MAX_REPEATED: Final = 10_000


class Ready(msgspec.Struct, Generic[R, C], frozen=True):
    """A record that may be let go."""

    sequence: int
    record: R
    context: C | None


class Report(Generic[R, C]):
    """
    One report of stored records, while it comes in.

    Args:
        after: The sequence of the last record that we have; -1 for none.

        hold: Let nothing go before the report is complete.
    """

    def __init__(self, *, after: int = -1, hold: bool = False) -> None:
        self.highest = -1
        """The highest sequence that has come."""
        self._last = after
        self._hold = hold
        self._held: dict[int, tuple[R, bool]] = {}
        self._contexts: dict[int, C] = {}
        self._gone: set[int] = set()
        self._repeated = 0
        self._counts_up = True
        self._is_complete = False

    def add(self, sequence: int, record: R, *, waits: bool = False) -> None:
        """
        Take a record.

        Args:
            sequence: Its number.

            record: It.

            waits: Whether it is nothing without its context.

        Raises:
            Endless: No memory holds so many.
        """
        if sequence in self._gone:
            self._repeated += 1
            if self._repeated > MAX_REPEATED:
                raise Endless
            return
        self._counts_up = self._counts_up and sequence >= self.highest
        self.highest = max(self.highest, sequence)
        self._held[sequence] = record, waits
        if len(self._held) > MAX_HELD:
            raise Endless

    def add_context(self, sequence: int, context: C) -> None:
        """
        Take what a record was taken with.

        Raises:
            Endless: No memory holds so many.
        """
        if sequence in self._gone:
            return
        self._contexts[sequence] = context
        if len(self._contexts) > MAX_HELD:
            raise Endless

    def newest(self) -> R | None:
        """Return the record with the highest sequence, if it has not gone."""
        held = self._held.get(self.highest)
        return held[0] if held is not None else None

    def complete(self) -> None:
        """Note that all have come."""
        self._is_complete = True

    def ready(self) -> list[Ready[R, C]]:
        """Return the records that may be let go, in order; each once."""
        ready: list[Ready[R, C]] = []
        if self._hold and not self._is_complete:
            return ready
        for sequence in sorted(self._held):
            if not self._is_complete and not self._may_go(sequence):
                break
            record, _ = self._held.pop(sequence)
            self._gone.add(sequence)
            self._last = sequence
            ready.append(Ready(sequence, record, self._contexts.pop(sequence, None)))
        return ready

    def _may_go(self, sequence: int) -> bool:
        _, waits = self._held[sequence]
        if waits and sequence not in self._contexts:
            return False
        return self._counts_up and (sequence == self._last + 1 or sequence < self.highest)
