"""Repeats erasures whose data came back: deletes the rows and names, and rewrites their files."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from runtime.logs import Log, describe
from trust.domain.erasure_steps import Rewritten, RewrittenAgain
from trust.domain.units import SENTENCES, Cause, Failure, Unit, UnitKind, Work
from trust.erasure.recognition import Returned, facts_of
from trust.errors import HeldBack, TrustError, Unavailable
from trust.reconcile.reconciler import Reconciler, UnguardedReconciler
from trust.telemetry.erasure import Stores
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault
from trust.vault.records.erasures import Mark

JOB: Final = "erasures"
"""The name of the job under which failed erasures are set aside."""
Rewrite = Callable[[Sequence[str]], Mapping[str, Rewritten]]
_log: Final = Log("trust.erasure.repetition")


class Repetition:
    """
    Erases data again that came back. It decides nothing: what came back is handed to it.

    Args:
        vault: The vault, with the ledger.

        stores: The telemetry database.

        reconciler: Restores permissions that were deleted with erased data.

        rewrite: Rewrites relations; None where the settings name no owner of the databases.
    """

    def __init__(
        self,
        vault: Vault,
        stores: Stores,
        reconciler: Reconciler | UnguardedReconciler,
        *,
        rewrite: Rewrite | None,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._reconciler = reconciler
        self._rewrite = rewrite
        self._unrecorded: set[str] = set()
        """Relations to rewrite for erasures that only the ledger's file knows."""

    def erase_all(self, back: Mapping[int, Returned], marks: Sequence[Mark]) -> dict[int, str]:
        """Erase *back* again, one erasure at a time; return the failures by number."""
        failed: dict[int, str] = {}
        causes: dict[int, Cause] = {}
        for number, one in sorted(back.items()):
            try:
                kept = attempt(partial(self.erase, number, one), kind=UnitKind.JOB)
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

    def erase(self, number: int, back: Returned) -> list[str]:
        """
        Erase the data *back* of erasure *number* again; `finish_rewriting` rewrites the files.

        Returns:
            Tables that still hold rows of the erasure, because trust may not change them.

        Raises:
            Unavailable: A database is out of reach; call this again later.
        """
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

    def try_rewriting(self) -> None:
        """Do as `finish_rewriting`; if that fails, the next verification tries again."""
        try:
            self.finish_rewriting()
        except TrustError as exc:
            # Queries no longer see the rows; the next verification tries the rewrite again.
            reason = str(exc) if isinstance(exc, HeldBack) else describe(exc)
            _log.error("not_rewritten", reason=reason)

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


def kept_in(places: Sequence[str]) -> str:
    """Return a message that *places* still hold rows of an erasure, with its remedy."""
    return (
        f"rows are still in {', '.join(places)}, which trust does not take for a restored part of"
        " its own, or cannot change: delete the rows there, or drop it"
    )
