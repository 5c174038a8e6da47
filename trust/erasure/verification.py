"""
Verification: look for erased data that came back, and erase the data again.

A restore may bring back a whole database, one partition, one table of names or one table of the
vault, and no clock or mark inside a database shows that. So the tombstones and series numbers of
each erasure are compared with all data in the databases.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from runtime.logs import Log, describe
from trust.erasure.recognition import Recognition, Returned
from trust.erasure.repetition import Repetition, Rewrite
from trust.errors import (
    NotFound,
    Tampered,
    TelemetryUnavailable,
)
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler, UnguardedReconciler
from trust.telemetry.erasure import Stores, Table
from trust.vault.erasure_file import LedgerFile
from trust.vault.owned import restored_subjects
from trust.vault.protocols import Vault
from trust.vault.records.erasures import Erasure, Mark, Tombstones

_log: Final = Log("trust.erasure.verification")


class Verified(msgspec.Struct, frozen=True):
    """The result of a verification."""

    erasures: int
    """Number of erasures that were looked for."""
    back: dict[int, list[str]]
    """By number of the erasure: the places where its data came back."""
    erased_again: list[int]
    failed: dict[int, str]
    """By number: the reason why an erasure could not be repeated; the next round tries again."""
    tampered: list[int]
    """Erasures whose record in the vault does not verify; looked for if the file knows them."""
    not_rewritten: int
    """Number of repeated erasures whose files are not rewritten: read by others, or no owner."""
    unknown_series: int
    """Number of series with rows, without a name and in no erasure: they are left as they are."""
    not_looked_at: int
    """Number of tables with another owner, or unreadable, that may hold rows."""
    seconds: float
    unread: list[str] = []
    """The names of the tables that were not looked at."""
    not_settled: list[str] = []
    """Tables with rows of an erasure that failed: the next round looks at them again."""
    are_names_settled: bool = True
    """Whether erasures that failed left only rows, and no name."""


class NamesAgain(msgspec.Struct, frozen=True):
    """The result of `Verifier.erase_names_again`."""

    erased_again: list[int]
    failed: dict[int, Returned]
    """By number: the remaining data of erasures that failed."""
    unknown: list[Erasure]
    """Erasures whose only record does not verify: their data cannot be recognised."""

    def __repr__(self) -> str:
        return "NamesAgain(…)"


class Verifier:
    """
    Looks for erased data and erases them again. Not safe to share between threads.

    Args:
        vault: The vault, with the ledger.

        stores: The telemetry database.

        reconciler: Restores permissions that were deleted with erased data; unguarded only for the
            restore guard.

        keys: Hold the key of the tombstones.

        rewrite: Rewrites relations; None where the settings name no owner of the databases.

        ledger_file: The copy of the ledger; None where the settings name no file.

        now: Returns the seconds of a clock that does not go back.
    """

    def __init__(  # noqa: PLR0913 - it looks at everything that may hold something of a person
        self,
        vault: Vault,
        stores: Stores,
        reconciler: Reconciler | UnguardedReconciler,
        keys: Keys,
        *,
        rewrite: Rewrite | None,
        ledger_file: LedgerFile | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._tombstones = Tombstones(keys.tombstone_key)
        self.repetition = Repetition(vault, stores, reconciler, rewrite=rewrite)
        """Erases again what is found."""
        self._ledger_file = ledger_file
        self._now = now

    def look(self, tables: Iterable[Table] | None = None) -> Verified:
        """
        Look for the data of all finished erasures, without a change.

        Args:
            tables: The tables to search for rows; all tables when None.

        Raises:
            Unavailable: A database cannot be looked through.
        """
        return self._verify(tables, is_erasing=False)

    def run(self, tables: Iterable[Table] | None = None) -> Verified:
        """
        Look for the data of all finished erasures, erase them again and rewrite their files.

        Args:
            tables: The tables to search for rows; all tables when None.

        Raises:
            Unavailable: A database cannot be looked through.
        """
        return self._verify(tables, is_erasing=True)

    def erase_names_again(self) -> NamesAgain:
        """
        Erase again the data of all erasures whose names came back, without a rewrite of files.

        Erasures under way are included.

        Raises:
            Unavailable: A database cannot be looked through.
        """
        marks, tampered = self._marks()
        back = self._recognise(marks, ())[0].found()
        failed = self.repetition.erase_all(back, marks)
        known = {mark.erasure.number for mark in marks}
        with self._vault.transaction() as records:
            unknown = [records.erasures.get(number) for number in tampered if number not in known]
        return NamesAgain(
            sorted(back.keys() - failed.keys()),
            {number: back[number] for number in failed},
            unknown,
        )

    def back_of(self, number: int) -> Returned | None:
        """
        Return the data of erasure *number* that are in the databases; None if there are none.

        Raises:
            NotFound: The erasure is unknown, or has no mark yet.
            Tampered: The record of the erasure does not verify.
            Unavailable: A database cannot be looked through.
        """
        marks, tampered = self._marks()
        if number in tampered:
            raise Tampered("a step of an erasure")
        mine = [mark for mark in marks if mark.erasure.number == number]
        if not mine:
            raise NotFound("erasure", "`vitalveil trust erase SUBJECT` printed its number.")
        return self._recognise(mine, None)[0].found().get(number)

    def _verify(self, tables: Iterable[Table] | None, *, is_erasing: bool) -> Verified:
        began = self._now()
        marks, tampered = self._marks()
        # An unfinished erasure is under way, or waits until its command is repeated.
        looked_for = [mark for mark in marks if mark.is_done]
        recognition, unknown, unread = self._recognise(looked_for, tables)
        back = recognition.found()
        failed = self.repetition.erase_all(back, looked_for) if is_erasing else {}
        if is_erasing:
            self.repetition.try_rewriting()
        with self._vault.transaction() as records:
            waiting = sum(not found.is_rewritten for found in records.erasures.found_again())
        return Verified(
            erasures=len(looked_for),
            back={number: one.where() for number, one in sorted(back.items())},
            erased_again=sorted(back.keys() - failed.keys()) if is_erasing else [],
            failed=failed,
            tampered=tampered,
            not_rewritten=waiting,
            unknown_series=unknown,
            not_looked_at=len(unread),
            seconds=round(self._now() - began, 3),
            unread=unread,
            not_settled=sorted({place for number in failed for place in back[number].rows}),
            are_names_settled=all(back[number].is_rows_alone() for number in failed),
        )

    def _marks(self) -> tuple[list[Mark], list[int]]:
        """Return all erasures of vault and file, and the numbers of records that do not verify."""
        with self._vault.transaction() as records:
            marks, tampered = records.erasures.marks()
            known = {(m.erasure.subject, m.erasure.purpose, m.erasure.requested_at) for m in marks}
            for entry in self._ledger_file.readable() if self._ledger_file else ():
                erasure = entry.erasure
                if (erasure.subject, erasure.purpose, erasure.requested_at) in known:
                    continue
                try:
                    facts = records.erasures.read(entry)
                except Tampered:
                    continue
                if (
                    erasure.number not in tampered
                    or records.erasures.get(erasure.number) != erasure
                ):
                    # The vault does not know the erasure, and may have reused its number.
                    erasure = msgspec.structs.replace(erasure, number=-erasure.number)
                marks.append(Mark(erasure, facts, is_done=True))
        return marks, tampered

    def _recognise(
        self, marks: Sequence[Mark], tables: Iterable[Table] | None
    ) -> tuple[Recognition, int, list[str]]:
        with self._vault.transaction() as records:
            handles = {handle: (who, what) for handle, who, what in records.handles.all()}
            identities = restored_subjects(records)
        recognition = Recognition(marks, self._tombstones, handles)
        recognition.identities(identities)
        if marks:
            recognition.names(self._stores.names())
            recognition.remembered(self._stores.remembered())
        unknown: set[int] = set()
        unread = []
        for table in self._stores.tables() if tables is None else tables:
            if not table.is_ours:
                unread.append(table.place)
                continue
            try:
                found = self._stores.unknown_series(table.place)
            except TelemetryUnavailable as exc:
                # The table is damaged or locked; the search continues with the next table.
                _log.error("table_not_looked_at", place=table.place, error=describe(exc))
                unread.append(table.place)
                continue
            unknown |= recognition.rows(table.place, found)
        return recognition, len(unknown), unread
