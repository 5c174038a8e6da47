"""
When what is verified: at once what changed as a restore changes it, all of it at least once a day.

A table whose file and count of inserted rows are those of the last look holds no row that was not
there then. What ingest and the roll-up insert changes the count all the time, so a table that only
grew is looked at once an hour. All of this is kept in memory: a database that goes back in time
takes its own notes back with it.
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
"""Of a round, for tables; the rest is left to the next."""
_log: Final = Log("trust.erasure.verification")


class Noting(Protocol):
    """Where what was found is told."""

    def verified(self, found: Verified) -> None:
        """Note what a verification found."""
        ...

    def ledger_file(self, was: FileState, now: FileState) -> None:
        """Note how the ledger's file was found, and how it was left."""
        ...


class Verifies(Protocol):
    """What looks."""

    def run(self, tables: Iterable[Table] | None = None) -> Verified:
        """Look for everything that was erased, rows in *tables* alone, and erase it again."""
        ...


class Listing(Protocol):
    """What tells how the telemetry database is."""

    def names_state(self) -> str:
        """Return what changes when names may have come back."""
        ...

    def tables(self) -> list[Table]:
        """Return every table that may hold somebody's series."""
        ...


class Comparing(Protocol):
    """What compares the ledger's file with the vault."""

    def repair(self) -> tuple[FileState, FileState]:
        """Return how the file was, and how it is now."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """How a table, or the names, were at the last look."""

    files: tuple[object, ...]
    """What only a restore, a rewrite or a restart changes."""
    inserted: tuple[int, ...]
    at: float


class VerificationPlan:
    """
    What is due. Pure: the time is an argument.

    A table that is new, or has another file, comes first; then the one looked at longest ago. One
    that could not be read stays due, and comes last: it holds up no other.
    """

    def __init__(self) -> None:
        self._tables: dict[str, Seen] = {}
        self._unread: set[str] = set()
        self._names: Seen | None = None

    def due(self, tables: Sequence[Table], *, now: float) -> list[Table]:
        """Return those of *tables* that are due, the most urgent first."""
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
        """Note that *table*, as it was listed, was looked at."""
        self._tables[table.place] = _of(table, now)
        self._unread.discard(table.place)

    def not_read(self, table: Table) -> None:
        """Note that *table* was tried, and could not be read or not all of it be erased again."""
        self._tables.pop(table.place, None)
        self._unread.add(table.place)

    def are_names_due(self, state: str, *, now: float) -> bool:
        """Tell whether the names are due."""
        current = _of_names(state, now)
        if self._names is not None and self._names.files[0] != current.files[0]:
            # Another start of the server may be another server.
            self._tables.clear()
        return _rank(self._names, current, grew_s=_NAMES_GREW_S, all_s=_GREW_S) is not None

    def names_looked_at(self, state: str, *, now: float) -> None:
        """Note that the names, of which *state* was told before they were read, were looked at."""
        self._names = _of_names(state, now)


def _of_names(state: str, now: float) -> Seen:
    start, first, second, third, *inserted = state.split()
    return Seen((start, first, second, third), tuple(map(int, inserted)), now)


def _of(table: Table, now: float) -> Seen:
    return Seen((table.file,), (table.inserted,), now)


def _rank(seen: Seen | None, current: Seen, *, grew_s: float, all_s: float) -> int | None:
    """Return how urgent a look is, 0 the most; None for not at all."""
    if seen is None or seen.files != current.files:
        return 0
    age = current.at - seen.at
    if seen.inserted != current.inserted and age >= grew_s:
        return 1
    return 2 if age >= all_s else None


class Rounds:
    """
    Verifies, round after round.

    Args:
        verifier: Of this alone: it is used from a thread.

        stores: Those of the verifier.

        ledger_copy: Compares the ledger's file with the vault.

        note: Told what was found.

        done: Called after each round after which nothing is due any more: all of it was read, and
            what was found is erased again.

        now: Seconds, of any clock that does not go back.
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
        """Work until cancelled, whatever fails meanwhile."""
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
        Look at what is due.

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
        # Only now is it certain what was read. What was not stays due.
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
        """Yield of *due* what there is time for, and note in *handed* what that was."""
        began = self._now()
        for table in due:
            if self._now() - began >= _BUDGET_S:
                return
            handed.append(table)
            yield table
