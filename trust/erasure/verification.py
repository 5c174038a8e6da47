"""
Verification: look for erased data that came back, and erase the data again.

A restore may bring back a whole database, one partition, one table of names or one table of the
vault, and no clock or mark inside a database shows that. So the tombstones and series numbers of
each erasure are compared with all data in the databases.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from runtime.logs import Log, describe
from trust.domain.erasure_steps import Rewritten, RewrittenAgain
from trust.domain.units import SENTENCES, Cause, Failure, Unit, UnitKind, Work
from trust.erasure.recognition import Recognition, Returned, facts_of
from trust.errors import (
    HeldBack,
    NotFound,
    Tampered,
    TelemetryUnavailable,
    TrustError,
    Unavailable,
)
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler, UnguardedReconciler
from trust.telemetry.erasure import Stores, Table
from trust.vault.erasure_file import LedgerFile
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault
from trust.vault.records.erasures import Erasure, Mark, Tombstones

JOB: Final = "erasures"
"""The name of the job under which failed erasures are set aside."""
Rewrite = Callable[[Sequence[str]], Mapping[str, Rewritten]]
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
        self._reconciler = reconciler
        self._tombstones = Tombstones(keys.tombstone_key)
        self._rewrite = rewrite
        self._ledger_file = ledger_file
        self._now = now
        self._unrecorded: set[str] = set()
        """Relations to rewrite for erasures that only the ledger's file knows."""

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
        failed = self._erase_again(back, marks)
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

    def erase(self, number: int, back: Returned) -> list[str]:
        """
        Erase the data *back* of erasure *number* again; `finish_rewriting` rewrites the files.

        Returns:
            Tables that still hold rows of the erasure, because trust may not change them.

        Raises:
            Unavailable: A database is out of reach; call this again later.
        """
        return self._erase_one(number, back)

    def finish_rewriting(self) -> Mapping[str, Rewritten] | None:
        """
        Rewrite the files of all data that came back and were erased again.

        Returns:
            The facts of the rewrite, by database; None if there was nothing to rewrite, or the
            settings name no owner.

        Raises:
            Unavailable: Some tables are not rewritten; call this again later.
            HeldBack: Deleted rows may still be read; call this again later.
            NotOwner: The role may not rewrite some table.
        """
        with self._vault.transaction() as records:
            waiting = [found for found in records.erasures.found_again() if not found.is_rewritten]
        relations = {name for found in waiting for name in found.facts.relations}
        if self._rewrite is None or not (waiting or self._unrecorded):
            return None
        looked = self._rewrite(sorted(relations | self._unrecorded))
        self._unrecorded.clear()
        facts = RewrittenAgain(dict(looked))
        with self._vault.transaction() as records:
            for found in waiting:
                records.erasures.record_again(found.number, facts, times=found.times)
        return looked

    def _verify(self, tables: Iterable[Table] | None, *, is_erasing: bool) -> Verified:
        began = self._now()
        marks, tampered = self._marks()
        # An unfinished erasure is under way, or waits until its command is repeated.
        looked_for = [mark for mark in marks if mark.is_done]
        recognition, unknown, unread = self._recognise(looked_for, tables)
        back = recognition.found()
        failed = self._erase_again(back, looked_for) if is_erasing else {}
        if is_erasing:
            self._try_rewriting()
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
            identities = [number for number, _ in records.erasures.restored_subjects()]
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

    def _erase_again(self, back: Mapping[int, Returned], marks: Sequence[Mark]) -> dict[int, str]:
        """Erase *back* again, one erasure at a time; return the failures by number."""
        failed: dict[int, str] = {}
        causes: dict[int, Cause] = {}
        for number, one in sorted(back.items()):
            try:
                kept = attempt(partial(self._erase_one, number, one), kind=UnitKind.JOB)
            except Unavailable as exc:
                _log.error("not_erased_again", number=number, error=describe(exc))
                failed[number], causes[number] = str(exc), Cause.ROW_REFUSED
            else:
                if isinstance(kept, Cause):
                    failed[number], causes[number] = SENTENCES[kept][0], kept
                elif kept:
                    failed[number], causes[number] = kept_in(kept), Cause.ROW_REFUSED
        # Set aside by person: `trust unit list`, the doctor and the alert name these units.
        subjects = {mark.erasure.number: mark.erasure.subject for mark in marks}
        with self._vault.transaction() as records:
            records.set_aside.replace(
                Work.JOB,
                {
                    JOB: {
                        Failure(Unit(UnitKind.PERSON, str(subjects[number])), cause)
                        for number, cause in causes.items()
                    }
                },
            )
        return failed

    def _erase_one(self, number: int, back: Returned) -> list[str]:
        _log.error("erased_data_found", number=number, where=", ".join(back.where()))
        series = sorted({*back.series, *(n for found in back.rows.values() for n in found)})
        relations = set(self._stores.relations(series))
        with self._vault.transaction() as records:
            if number > 0:
                # First: if the process stops after the deletion, the rewrite is still recorded.
                times = sum(found.number == number for found in records.erasures.found_again())
                facts = facts_of(back, relations)
                records.erasures.record_again(number, facts, times=times + 1)
            else:
                self._unrecorded |= relations.union(back.rows)
            if back.has_identity:
                records.subjects.destroy_key(records.erasures.get(number).subject)
            records.handles.delete(back.vault_handles)
        self._stores.erase_rows(series)
        self._stores.erase_unattached(series)
        self._stores.erase_names(
            sorted(back.series),
            handles=sorted(back.handles),
            agents=sorted(back.agents),
            numbers=[number] if number > 0 else [],
        )
        self._reconcile(sorted(back.agents))
        kept = sorted(
            place
            for place, found in back.rows.items()
            if not found.isdisjoint(self._stores.unknown_series(place))
        )
        if kept:
            _log.error("not_a_part_of_ours", number=number, places=", ".join(kept))
        return kept

    def _reconcile(self, agents: Sequence[str]) -> None:
        """Restore permissions of *agents* that a person who agreed again lost by the erasure."""
        if not agents:
            return
        with self._vault.transaction() as records:
            records.leases.mark_stale(agents)
        try:
            self._reconciler.reconcile(agents)
        except TrustError as exc:
            # The vault has marked these agents as stale, and the daemon tries again.
            _log.warning("not_brought", error=describe(exc))

    def _try_rewriting(self) -> None:
        try:
            self.finish_rewriting()
        except TrustError as exc:
            # Queries no longer see the rows; the next verification tries the rewrite again.
            reason = str(exc) if isinstance(exc, HeldBack) else describe(exc)
            _log.error("not_rewritten", reason=reason)


def kept_in(places: Sequence[str]) -> str:
    """Return a message that *places* still hold rows of an erasure, with its remedy."""
    return (
        f"rows are still in {', '.join(places)}, which trust does not take for a restored part of"
        " its own, or cannot change: delete the rows there, or drop it"
    )
