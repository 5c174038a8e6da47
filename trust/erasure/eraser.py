"""
Erasure: what is stored about a person, gone from every store, step by step.

Each step may be done twice, and is noted in the ledger once it is done; so a procedure that was
cut off at any instruction goes on where it stopped. Nothing is destroyed before the ledger has
what it takes to do it all again: after a restore that is done before ingest may store.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from runtime.logs import Log, describe
from trust.consent.consent import Consent
from trust.domain.erasure_steps import (
    Certificate,
    F,
    FilesRewritten,
    FoundNothing,
    Frozen,
    KeysDestroyed,
    LeasesPublished,
    Marked,
    NamesErased,
    RowsErased,
)
from trust.erasure.certificate import Done, SignedCertificate, certify, sign
from trust.erasure.freezing import Freezer
from trust.erasure.physical_rewrite import PhysicalRewrite
from trust.erasure.verification import Verifier
from trust.errors import BrokerUnavailable, KeyFileError, Residue
from trust.ports import Clock, Keys
from trust.reconcile.reconciler import Reconciler
from trust.rights import export_files
from trust.telemetry.erasure import Stores
from trust.vault.erasure_file import LedgerFile
from trust.vault.protocols import Records, Vault
from trust.vault.records.erasures import Erasure, FoundAgain, Tombstones

_log: Final = Log("trust.erasure.eraser")


class Eraser:
    """
    Erases.

    Args:
        vault: With the ledger, and what says who a person is.

        stores: Where observations are.

        consent: Ends what is still measured.

        reconciler: Brings agents up to date.

        keys: For pseudonyms and tombstones, and to sign.

        controller: Who answers for the processing.

        physical_rewrite: Of both databases.

        verifier: Looks whether anything is left.

        publish: Has the broker retain the leases; returns whether it has all. None without one.

        ledger_file: The ledger's copy.

        horizon: How long the write-ahead log and backups live.

        clock: Tells the time.
    """

    def __init__(  # noqa: PLR0913 - it reaches everything that holds something of a person
        self,
        vault: Vault,
        stores: Stores,
        consent: Consent,
        reconciler: Reconciler,
        keys: Keys,
        *,
        controller: str,
        physical_rewrite: PhysicalRewrite,
        verifier: Verifier,
        publish: Callable[[], bool] | None,
        ledger_file: LedgerFile | None,
        horizon: tuple[dt.timedelta, dt.timedelta],
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._keys = keys
        self._freezer = Freezer(vault, stores, consent, reconciler, keys, controller=controller)
        self._physical_rewrite = physical_rewrite
        self._verifier = verifier
        self._publish = publish
        self._ledger_file = ledger_file
        self._horizon = horizon
        self._clock = clock
        self._tombstones = Tombstones(keys.tombstone_key)

    def erase(self, subject: UUID, purpose: str | None) -> int:
        """
        Erase what there is of *subject* for *purpose*, or all of it; return its number.

        One that was cut off goes on.

        Raises:
            Refused: There is no such subject, or nothing was decided for that purpose.
            Unavailable: It is not done yet; do it again later.
            Residue: It is done, and something is still found.
        """
        with self._vault.transaction() as records:
            number = records.erasures.begin(subject, purpose)
        self.go_on(number)
        return number

    def go_on(self, number: int) -> None:
        """
        Do what is left of erasure *number*.

        Raises:
            Unavailable: It is not done yet; do it again later.
            Residue: It is done, and something is still found.
        """
        with self._vault.transaction() as records:
            erasure = records.erasures.get(number)
        frozen = self._step(number, Frozen, lambda: self._freezer.freeze(erasure))
        marked = self._step(number, Marked, lambda: self._mark(erasure))
        # Also when it was noted before: that may be how far the process came.
        self._copy_mark(number)
        keys = self._step(number, KeysDestroyed, lambda: self._destroy_keys(erasure, marked))
        rows = self._step(number, RowsErased, lambda: self._erase_rows(marked))
        names = self._step(number, NamesErased, lambda: self._erase_names(erasure, marked))
        leases = self._step(number, LeasesPublished, lambda: self._renew_leases(marked))
        files = self._step(number, FilesRewritten, lambda: self._rewrite(marked, rows))
        verified = self._step(number, FoundNothing, lambda: self._verify(erasure))
        done = Done(frozen, marked, keys, names, leases, files, verified)
        self._step(
            number,
            Certificate,
            lambda: certify(erasure, done, now=self._clock(), horizon=self._horizon),
        )

    def _step(self, number: int, kind: type[F], do: Callable[[], F]) -> F:
        """Return the facts of a step: as they were noted, or noted now that it is done."""
        with self._vault.transaction() as records:
            noted = records.erasures.steps(number).get(kind)
        if noted is not None:
            return noted
        facts = do()
        with self._vault.transaction() as records:
            records.erasures.record(number, facts)
            # Another process may have noted it first; that note stands.
            return records.erasures.steps(number).get(kind) or facts

    def _copy_mark(self, number: int) -> None:
        """See that the ledger's file knows the erasure, before anything is destroyed."""
        if self._ledger_file is not None:
            with self._vault.transaction() as records:
                entry = records.erasures.entry(number)
            self._ledger_file.append(entry)

    def certificate(self, number: int) -> SignedCertificate:
        """
        Return the certificate of erasure *number*.

        Raises:
            NotFound: It is not finished.
        """
        with self._vault.transaction() as records:
            certificate = records.erasures.certified(number)
        return sign(certificate, self._keys)

    def found_again(self, number: int) -> list[FoundAgain]:
        """Return what of erasure *number* was there again since, and was erased again."""
        with self._vault.transaction() as records:
            return [found for found in records.erasures.found_again() if found.number == number]

    # The steps

    def _mark(self, erasure: Erasure) -> Marked:
        """What is to be erased is counted, and can be recognised after all names are gone."""
        names = self._freezer.names(erasure)
        with self._vault.transaction() as records:
            key_id = None if erasure.purpose else records.subjects.data_key_id(erasure.subject)
        found = self._stores.find(pseudonyms=names.pseudonyms, handles=names.handles)
        return Marked(
            agents=sorted({*names.agents, *found.agents}),
            data_key=key_id,
            relations=found.relations,
            rows=found.rows,
            series=found.series,
            tombstones=[self._tombstones.of(name) for name in found.names],
        )

    def _destroy_keys(self, erasure: Erasure, marked: Marked) -> KeysDestroyed:
        """The identity, the bindings and what was exported are unreadable from here on."""
        # Again: an erasure may go on days later, and the person may have agreed again meanwhile.
        frozen = self._freezer.freeze(erasure)
        with self._vault.transaction() as records:
            exports = Exports()
            # The key first: a command that adds a handle or an export for them waits for it.
            if erasure.purpose is None:
                records.subjects.destroy_key(erasure.subject)
            handles = records.handles.delete_of(erasure.subject, erasure.purpose)
            if erasure.purpose is None:
                exports = _discard_exports(records, erasure.subject)
            facts = KeysDestroyed(
                handles=handles,
                keys=[] if marked.data_key is None else [marked.data_key],
                exports=exports.deleted,
                unverified=frozen.unverified,
            )
            # With what it took: done again, there is nothing left to count.
            records.erasures.record(erasure.number, facts)
        return facts

    def _erase_rows(self, marked: Marked) -> RowsErased:
        """Rows, compressed or not, and aggregates, over all time."""
        # Rolled up, or compressed, since the mark: the rows are in other relations, too.
        relations = self._stores.relations(marked.series)
        self._stores.erase_rows(marked.series)
        return RowsErased(relations)

    def _erase_names(self, erasure: Erasure, marked: Marked) -> NamesErased:
        """What led to the rows, and what rests in quarantine."""
        rows = self._stores.erase_names(
            marked.series, agents=marked.agents, numbers=[erasure.number]
        )
        return NamesErased(rows)

    def _renew_leases(self, marked: Marked) -> LeasesPublished:
        """The broker retains leases that do not name the handles any more."""
        if self._publish is None:
            return LeasesPublished({}, published=False)
        if not self._publish():
            raise BrokerUnavailable("another process publishes, and has not done so yet")
        with self._vault.transaction() as records:
            if records.set_aside.keeps_lease(marked.agents):
                raise BrokerUnavailable(
                    "the lease of a gateway of that person is not renewed, so that the broker has"
                    " the one before; `vitalveil trust unit list` says why"
                )
        with self._vault.transaction() as records:
            leases = records.leases.versions_of(marked.agents)
        versions = {agent: newest for agent, (newest, _) in leases.items()}
        return LeasesPublished(versions, published=True)

    def _rewrite(self, marked: Marked, rows: RowsErased) -> FilesRewritten:
        """Files and statistics keep nothing of before."""
        return FilesRewritten(self._physical_rewrite.sweep([*marked.relations, *rows.relations]))

    def _verify(self, erasure: Erasure) -> FoundNothing:
        """Everything is looked through once more; what came after the mark is erased with it."""
        back = self._verifier.back_of(erasure.number)
        kept = [] if back is None else self._verifier.erase(erasure.number, back)
        looked = self._verifier.finish_rewriting()
        exports = Exports()
        if erasure.purpose is None:
            with self._vault.transaction() as records:
                exports = _discard_exports(records, erasure.subject)
        if residue := [*self._residue(erasure), *exports.residue(), *kept]:
            raise Residue(residue)
        return FoundNothing(
            residue=0,
            exports=exports.deleted,
            not_exports=exports.others,
            looked=None if looked is None else dict(looked),
        )

    # After the fact

    def verify(self, number: int) -> list[str]:
        """
        Look through every store for what erasure *number* took; return where something is.

        Raises:
            NotFound: There is no such erasure, or nothing was marked yet.
            Unavailable: A database cannot be looked through.
        """
        with self._vault.transaction() as records:
            erasure = records.erasures.get(number)
        return self._residue(erasure)

    def _residue(self, erasure: Erasure) -> list[str]:
        back = self._verifier.back_of(erasure.number)
        found = set() if back is None else set(back.where())
        with self._vault.transaction() as records:
            if erasure.purpose is None and records.handles.of(erasure.subject, None):
                found.add("vault handles")
            if erasure.purpose is None and not records.subjects.is_erased(erasure.subject):
                found.add("vault identity")
            waiting = [
                one for one in records.erasures.found_again() if one.number == erasure.number
            ]
        if not all(one.is_rewritten for one in waiting):
            found.add("files that are still to be rewritten")
        return sorted(found)


class Exports(msgspec.Struct, frozen=True):
    """What became of the files of a person's exports."""

    deleted: int = 0
    kept: int = 0
    """That are there, and cannot be deleted."""
    others: int = 0
    """That the vault's record names, and that are no exports: they were left."""

    def residue(self) -> list[str]:
        """Return in words what is still to be deleted."""
        return ["files of exports, which cannot be deleted"] if self.kept else []


def _discard_exports(records: Records, subject: UUID) -> Exports:
    """Delete the exports of *subject*, each for itself: one that stays keeps no other."""
    deleted = kept = others = 0
    for export, file in records.exports.of(subject):
        try:
            export_files.discard(Path(file))
        except KeyFileError as exc:
            _log.warning("export_not_deleted", error=describe(exc))
            is_there = export_files.may_be_export(Path(file))
            kept, others = kept + is_there, others + (not is_there)
            continue
        records.exports.mark_deleted(export)
        deleted += 1
    return Exports(deleted, kept, others)


def scope_of(text: str) -> str | None:
    """Return the purpose that *text* names; None for `all`."""
    return None if text == "all" else text.partition("@")[0]
