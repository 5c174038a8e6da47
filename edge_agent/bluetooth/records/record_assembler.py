"""
Puts the records of a report in order, and joins them with their contexts. Pure.

The port `Sensors` promises records in order, and a cursor moves past everything before it. So a
record is passed on only when no earlier one can come any more: it follows the last one directly,
or the report is complete. A later record proves nothing: one between may have been lost, and a
report that an earlier process requested may still be arriving.
"""

from typing import Final, Generic, TypeVar

import msgspec

from edge_agent.bluetooth.errors import Endless

R = TypeVar("R")
C = TypeVar("C")

MAX_HELD: Final = 20_000
"""The most records to hold: two weeks of a CGM sensor that measures each minute."""
MAX_REPEATED: Final = 10_000


class AssembledRecord(msgspec.Struct, Generic[R, C], frozen=True):
    """A record that can be passed on."""

    sequence: int
    record: R
    context: C | None


class RecordAssembler(Generic[R, C]):
    """
    Assembles one report of stored records while it arrives.

    Args:
        after: The sequence before the first expected record; None if unknown: then no record is
            passed on before the report is complete.
    """

    def __init__(self, *, after: int | None = None) -> None:
        self._highest = -1
        self._last = after
        self._held: dict[int, tuple[R, bool]] = {}
        self._contexts: dict[int, C] = {}
        self._gone: set[int] = set()
        self._repeated = 0
        self._is_complete = False

    def add(self, sequence: int, record: R, *, waits: bool = False) -> None:
        """
        Add a record.

        Args:
            sequence: The sequence of the record.

            record: The decoded record.

            waits: Whether the record must wait for its context.

        Raises:
            Endless: There are more records than a memory can hold.
        """
        if sequence in self._gone or sequence in self._held:
            self._repeated += 1
            if self._repeated > MAX_REPEATED:
                raise Endless
        if sequence in self._gone:
            return
        self._highest = max(self._highest, sequence)
        self._held[sequence] = record, waits
        if len(self._held) > MAX_HELD:
            raise Endless

    def add_context(self, sequence: int, context: C) -> None:
        """
        Add the context of a record.

        Raises:
            Endless: There are more contexts than a memory can hold.
        """
        if sequence in self._gone:
            return
        self._contexts[sequence] = context
        if len(self._contexts) > MAX_HELD:
            raise Endless

    def newest(self) -> R | None:
        """Return the record with the highest sequence, if it was not passed on yet."""
        held = self._held.get(self._highest)
        return held[0] if held is not None else None

    @property
    def received(self) -> int:
        """The number of records that have come."""
        return len(self._gone) + len(self._held)

    def begins_after(self, sequence: int) -> None:
        """Note that the first expected record follows *sequence*, unless that is known already."""
        if self._last is None:
            self._last = sequence

    def again(self) -> None:
        """Note that the records are requested again, so that repeated ones are expected."""
        self._repeated = 0

    def complete(self) -> None:
        """Note that the report is complete."""
        self._is_complete = True

    def ready(self) -> list[AssembledRecord[R, C]]:
        """Return the records that can be passed on, in order, each once."""
        ready: list[AssembledRecord[R, C]] = []
        for sequence in sorted(self._held):
            if not self._is_complete and not self._may_go(sequence):
                break
            record, _ = self._held.pop(sequence)
            self._gone.add(sequence)
            self._last = sequence
            ready.append(AssembledRecord(sequence, record, self._contexts.pop(sequence, None)))
        return ready

    def _may_go(self, sequence: int) -> bool:
        _, waits = self._held[sequence]
        if waits and sequence not in self._contexts:
            return False
        return self._last is not None and sequence <= self._last + 1
