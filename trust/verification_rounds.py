"""
When what is verified: at once what changed as a restore changes it, all of it at least once a day.

A table whose file and count of inserted rows are those of the last look holds no row that was not
there then. What ingest and the roll-up insert changes the count all the time, so a table that only
grew is looked at once an hour. All of this is kept in memory: a database that goes back in time
takes its own notes back with it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from runtime.logs import Log, describe
from trust.errors import Unavailable
from trust.isolation import attempt
from trust.ledger_copy import FileState, LedgerCopy
from trust.stores import Stores, Table
from trust.units import UnitKind
from trust.verification import Verified, Verifier

_ROUND_S: Final = 60.0
_NAMES_GREW_S: Final = 600.0
_GREW_S: Final = 3600.0
_ALL_S: Final = 86400.0
_BUDGET_S: Final = 20.0
"""Of a round, for tables; the rest is left to the next."""
_log: Final = Log("trust.verification")


class Noting(Protocol):
    """Where what was found is told."""

    def verified(self, found: Verified) -> None:
        """Note what a verification found."""
        ...

    def ledger_file(self, was: FileState, now: FileState) -> None:
        """Note how the ledger's file was found, and how it was left."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """How a table, or the names, were at the last look."""

    files: tuple[object, ...]
    """What only a restore, a rewrite or a restart changes."""
    inserted: tuple[int, ...]
    at: float


class Plan:
    """
    What is due. Pure: the time is an argument.

    A table that is new, or has another file, comes first; then the one looked at longest ago.
    """

    def __init__(self) -> None:
        self._tables: dict[str, Seen] = {}
        self._names: Seen | None = None

    def due(self, tables: Sequence[Table], *, now: float) -> list[Table]:
        """Return those of *tables* that are due, the most urgent first."""
        self._tables = {t.place: s for t in tables if (s := self._tables.get(t.place))}
        found = []
        for table in tables:
            seen = self._tables.get(table.place)
            rank = _rank(seen, _of(table, now), grew_s=_GREW_S, all_s=_ALL_S)
            if rank is not None:
                found.append((rank, seen.at if seen else now, table))
        return [table for _, _, table in sorted(found, key=lambda one: one[:2])]

    def looked_at(self, table: Table, *, now: float) -> None:
        """Note that *table*, as it was listed, was looked at."""
        self._tables[table.place] = _of(table, now)

    def are_names_due(self, state: str, *, now: float) -> bool:
        """Tell whether the names are due, and note that they are looked at."""
        start, first, second, third, *inserted = state.split()
        current = Seen((start, first, second, third), tuple(map(int, inserted)), now)
        if self._names is not None and self._names.files[0] != start:
            # Another start of the server may be another server.
            self._tables.clear()
        rank = _rank(self._names, current, grew_s=_NAMES_GREW_S, all_s=_GREW_S)
        if rank is None:
            return False
        self._names = current
        return True


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

        done: Called after each round that looked at all that was due.

        now: Seconds, of any clock that does not go back.
    """

    def __init__(
        self,
        verifier: Verifier,
        stores: Stores,
        ledger_copy: LedgerCopy,
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
        self._plan = Plan()
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
        names = self._plan.are_names_due(self._stores.names_state(), now=self._now())
        due = self._plan.due(self._stores.tables(), now=self._now())
        if not names and not due and not self._is_rewriting:
            self._done()
            return
        found = self._verifier.run(self._within_budget(due))
        self._is_rewriting = found.not_rewritten > 0
        self._note.verified(found)
        if not found.failed:
            self._done()

    def _within_budget(self, due: Sequence[Table]) -> Iterator[Table]:
        began = self._now()
        for table in due:
            if self._now() - began >= _BUDGET_S:
                return
            yield table
            self._plan.looked_at(table, now=self._now())
