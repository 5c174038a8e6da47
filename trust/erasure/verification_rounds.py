"""
The schedule of verification: tables that a restore may have changed at once, all tables daily.

If the file and the count of inserted rows of a table are those of the last look, the table has no
new rows. Ingest and the roll-up change the count all the time, so a table that only grew is looked
at once an hour. The schedule is kept in memory: a restore would reset notes in the database.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from runtime.logs import Log, describe
from trust.domain.units import UnitKind
from trust.erasure.ledger_copy import FileState
from trust.erasure.verification import Verified
from trust.errors import Unavailable
from trust.telemetry.erasure import Table
from trust.vault.isolation import attempt

_ROUND_S: Final = 60.0
_NAMES_GREW_S: Final = 600.0
_GREW_S: Final = 3600.0
_ALL_S: Final = 86400.0
_BUDGET_S: Final = 20.0
"""Seconds of a round that are spent on tables; the next round does the rest."""
_log: Final = Log("trust.erasure.verification")


class Noting(Protocol):
    """The receiver of the results, as `ErasureMetrics`."""

    def verified(self, found: Verified) -> None:
        """Note the result of a verification."""
        ...

    def ledger_file(self, was: FileState, now: FileState) -> None:
        """Note the state of the ledger's file before and after its repair."""
        ...


class Verifies(Protocol):
    """The verifier, as `Verifier`."""

    def run(self, tables: Iterable[Table] | None = None) -> Verified:
        """Look for erased data, for rows only in *tables*, and erase them again."""
        ...


class Listing(Protocol):
    """The lister of the telemetry database, as `Stores`."""

    def names_state(self) -> str:
        """Return a text that changes when names may have come back."""
        ...

    def tables(self) -> list[Table]:
        """Return every table that may hold rows of a series."""
        ...


class Comparing(Protocol):
    """The comparison of the ledger's file with the vault, as `LedgerCopy`."""

    def repair(self) -> tuple[FileState, FileState]:
        """Repair the file; return its state before and its state now."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """The state of a table, or of the names, at the last look."""

    files: tuple[object, ...]
    """File numbers and start time: only a restore, a rewrite or a restart changes them."""
    inserted: tuple[int, ...]
    at: float


class VerificationPlan:
    """
    The tables and names that are due. Pure: times are arguments, in seconds of any steady clock.

    A table that is new or has another file comes first, then the table with the oldest look. A
    table that could not be read stays due and comes last, so that it does not delay the others.
    """

    def __init__(self) -> None:
        self._tables: dict[str, Seen] = {}
        self._unread: set[str] = set()
        self._names: Seen | None = None

    def due(self, tables: Sequence[Table], *, now: float) -> list[Table]:
        """Return the due tables of *tables*, the most urgent first."""
        self._tables = {t.place: s for t in tables if (s := self._tables.get(t.place))}
        found = []
        for table in tables:
            seen = self._tables.get(table.place)
            rank = _rank(seen, _of(table, now), grew_s=_GREW_S, all_s=_ALL_S)
            if rank is not None:
                last = table.place in self._unread
                found.append(((last, rank, seen.at if seen else now), table))
        self._unread &= {table.place for table in tables}
        return [table for _, table in sorted(found, key=lambda one: one[0])]

    def looked_at(self, table: Table, *, now: float) -> None:
        """Note that *table*, in its listed state, was looked at."""
        self._tables[table.place] = _of(table, now)
        self._unread.discard(table.place)

    def not_read(self, table: Table) -> None:
        """Note that *table* could not be read, or that some of its rows could not be erased."""
        self._tables.pop(table.place, None)
        self._unread.add(table.place)

    def are_names_due(self, state: str, *, now: float) -> bool:
        """Return whether the names are due, by the text of `Listing.names_state`."""
        current = _of_names(state, now)
        if self._names is not None and self._names.files[0] != current.files[0]:
            # After a restart, the server may be another one.
            self._tables.clear()
        return _rank(self._names, current, grew_s=_NAMES_GREW_S, all_s=_GREW_S) is not None

    def names_looked_at(self, state: str, *, now: float) -> None:
        """Note that the names were looked at; *state* is their state before that look."""
        self._names = _of_names(state, now)


def _of_names(state: str, now: float) -> Seen:
    start, first, second, third, *inserted = state.split()
    return Seen((start, first, second, third), tuple(map(int, inserted)), now)


def _of(table: Table, now: float) -> Seen:
    return Seen((table.file,), (table.inserted,), now)


def _rank(seen: Seen | None, current: Seen, *, grew_s: float, all_s: float) -> int | None:
    """Return the rank of a look, 0 for the most urgent; None if no look is due."""
    if seen is None or seen.files != current.files:
        return 0
    age = current.at - seen.at
    if seen.inserted != current.inserted and age >= grew_s:
        return 1
    return 2 if age >= all_s else None


class Rounds:
    """
    Verifies erasures, one round after the other.

    Args:
        verifier: A verifier that no other part uses, because the rounds run in a thread.

        stores: The stores of that verifier.

        ledger_copy: Compares the ledger's file with the vault.

        note: Receives the results.

        done: Called after each round that leaves nothing due: all tables were read, and all found
            data were erased again.

        now: Returns the seconds of a clock that does not go back.
    """

    def __init__(
        self,
        verifier: Verifies,
        stores: Listing,
        ledger_copy: Comparing,
        *,
        note: Noting,
        done: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier = verifier
        self._stores = stores
        self._ledger_copy = ledger_copy
        self._note = note
        self._done = done
        self._now = now
        self._plan = VerificationPlan()
        self._is_rewriting = False

    async def run(self) -> None:
        """Run a round and a comparison each minute until cancelled; no failure ends the loop."""
        while True:
            for work in (self.round, self.compare):
                try:
                    await asyncio.to_thread(attempt, work, kind=UnitKind.JOB)
                except Unavailable as exc:
                    _log.warning("not_verified", error=describe(exc))
            await asyncio.sleep(_ROUND_S)

    def compare(self) -> None:
        """
        Compare the ledger's file with the vault, and repair it.

        Raises:
            Unavailable: A database is out of reach.
        """
        self._note.ledger_file(*self._ledger_copy.repair())

    def round(self) -> None:
        """
        Verify the due tables and names, within the time budget of a round.

        Raises:
            Unavailable: A database is out of reach.
        """
        state = self._stores.names_state()
        names = self._plan.are_names_due(state, now=self._now())
        due = self._plan.due(self._stores.tables(), now=self._now())
        if not names and not due and not self._is_rewriting:
            self._done()
            return
        handed: list[Table] = []
        found = self._verifier.run(self._within_budget(due, handed))
        self._is_rewriting = found.not_rewritten > 0
        # Only now is it known which tables were read. The others stay due.
        for table in handed:
            if table.place in found.unread or table.place in found.not_settled:
                self._plan.not_read(table)
            else:
                self._plan.looked_at(table, now=self._now())
        if found.are_names_settled:
            self._plan.names_looked_at(state, now=self._now())
        self._note.verified(found)
        left = len(due) - len(handed)
        if left or found.unread:
            _log.warning("not_all_looked_at", unread=len(found.unread), left_to_the_next=left)
        elif not found.failed:
            self._done()

    def _within_budget(self, due: Sequence[Table], handed: list[Table]) -> Iterator[Table]:
        """Yield tables of *due* until the budget is spent, and append each of them to *handed*."""
        began = self._now()
        for table in due:
            if self._now() - began >= _BUDGET_S:
                return
            handed.append(table)
            yield table
