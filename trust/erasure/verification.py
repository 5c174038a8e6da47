"""
Verification: looks whether anything that was erased is there again, and erases it again.

A restore may bring back a whole database, or one partition, one table of names, one table of the
vault; no clock and no mark inside a database tells that. So each erasure is recognised by what it
left behind, tombstones and numbers of series, against all that is there.
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
"""Under this name what could not be erased again is set aside."""
Rewrite = Callable[[Sequence[str]], Mapping[str, Rewritten]]
_log: Final = Log("trust.erasure.verification")


class Verified(msgspec.Struct, frozen=True):
    """What a verification found."""

    erasures: int
    """That were looked for."""
    back: dict[int, list[str]]
    """Where something of an erasure was there again, by its number."""
    erased_again: list[int]
    failed: dict[int, str]
    """Erasures that could not be erased again, and why; they are tried again."""
    tampered: list[int]
    """Erasures whose record in the vault does not verify; looked for if the file knows them."""
    not_rewritten: int
    """Erased again, while the files keep it: somebody may still read it, or nobody may rewrite."""
    unknown_series: int
    """Series of rows that no name leads to, and that nobody erased: left as they are."""
    not_looked_at: int
    """Tables that may hold rows, and that belong to another owner or could not be read."""
    seconds: float
    unread: list[str] = []
    """Their names."""
    not_settled: list[str] = []
    """Tables that hold rows of an erasure that failed: they are to be looked at again."""
    are_names_settled: bool = True
    """Nothing but rows is left of an erasure that failed."""


class NamesAgain(msgspec.Struct, frozen=True):
    """What came of erasing again everybody whose names were there."""

    erased_again: list[int]
    failed: dict[int, Returned]
    """What is still there of erasures that failed."""
    unknown: list[Erasure]
    """Erasures whose only record does not verify: what belongs to them is not recognised."""

    def __repr__(self) -> str:
        return "NamesAgain(…)"


class Verifier:
    """
    Looks, and erases again. Not safe to share between threads.

    Args:
        vault: With the ledger.

        stores: What is looked through.

        reconciler: Gives gateways permissions again that went with what was erased; unguarded only
            for the restore guard.

        keys: For tombstones.

        rewrite: Rewrites relations; None where the settings name no owner of the databases.

        ledger_file: The ledger's copy.

        now: Seconds, of any clock that does not go back.
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
        """Relations to rewrite for erasures that the vault does not know."""

    def look(self, tables: Iterable[Table] | None = None) -> Verified:
        """
        Look for everything that was erased, and change nothing.

        Args:
            tables: Where to look for rows; everywhere when None.

        Raises:
            Unavailable: A database cannot be looked through.
        """
        return self._verify(tables, is_erasing=False)

    def run(self, tables: Iterable[Table] | None = None) -> Verified:
        """
        Look for everything that was erased, erase again what is there, and rewrite its files.

        Args:
            tables: Where to look for rows; everywhere when None.

        Raises:
            Unavailable: A database cannot be looked through.
        """
        return self._verify(tables, is_erasing=True)

    def erase_names_again(self) -> NamesAgain:
        """
        Erase again everybody whose names are there, of erasures under way too; rewrite no file.

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
        Return what is there of erasure *number*; None for nothing.

        Raises:
            NotFound: There is no such erasure, or nothing was marked yet.
            Tampered: Its record does not verify.
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
        Erase again what is there of erasure *number*; its files are still to be rewritten.

        Returns:
            Tables that hold some of it all the same: what trust does not take for a part of ours.

        Raises:
            Unavailable: Do it again later.
        """
        return self._erase_one(number, back)

    def finish_rewriting(self) -> Mapping[str, Rewritten] | None:
        """
        Rewrite the files of everything that was found again; return what was looked at.

        Raises:
            Unavailable: Do it again later.
            HeldBack: Somebody may still read it; do it again later.
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
        # One that is not done is under way, or waits for its command to be given again.
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
        """Return every erasure that the vault or the ledger's file knows."""
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
                    # The vault does not know it, and may have given its number to another.
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
                # One that is damaged, or locked: the others are looked at all the same.
                _log.error("table_not_looked_at", place=table.place, error=describe(exc))
                unread.append(table.place)
                continue
            unknown |= recognition.rows(table.place, found)
        return recognition, len(unknown), unread

    def _erase_again(self, back: Mapping[int, Returned], marks: Sequence[Mark]) -> dict[int, str]:
        """Erase *back* of *marks* again, each for itself: one that fails holds up no other."""
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
        # By the person: `trust unit list`, the doctor and the alert name them.
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
                # First: a process that is cut off after the deletion leaves it to be rewritten.
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
        """Give *agents* again what somebody who agreed again lost with what was erased."""
        if not agents:
            return
        with self._vault.transaction() as records:
            records.leases.mark_stale(agents)
        try:
            self._reconciler.reconcile(agents)
        except TrustError as exc:
            # The vault remembers that it is wanted, and the daemon tries it again.
            _log.warning("not_brought", error=describe(exc))

    def _try_rewriting(self) -> None:
        try:
            self.finish_rewriting()
        except TrustError as exc:
            # Nobody can read the rows any more; the next verification tries again.
            reason = str(exc) if isinstance(exc, HeldBack) else describe(exc)
            _log.error("not_rewritten", reason=reason)


def kept_in(places: Sequence[str]) -> str:
    """Return in words that *places* still hold rows of an erasure, and what to do."""
    return (
        f"rows are still in {', '.join(places)}, which trust does not take for a restored part of"
        " its own, or cannot change: delete the rows there, or drop it"
    )
