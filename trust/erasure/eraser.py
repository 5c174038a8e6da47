"""
Erasure: delete the data of a person from every store, step by step.

Each step is idempotent, and the ledger records each finished step. So an erasure that is
interrupted at any instruction continues where it stopped. Before anything is destroyed, the ledger
holds all that is needed to repeat the erasure: after a restore, the erasure is repeated before
ingest may store.
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
from trust.erasure.residue import ResidueSearch
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
    Erases the data of a person, for one purpose or for all, and issues the certificate.

    Args:
        vault: The vault, with the ledger and the identities.

        stores: The telemetry database, with the observations.

        consent: Withdraws the consents that are still in force.

        reconciler: Brings agents up to date.

        keys: Derive pseudonyms and tombstones, and sign certificates.

        controller: The organisation that answers for the processing.

        physical_rewrite: Rewrites the files of both databases.

        verifier: Looks for data that were erased.

        publish: Publishes all leases and returns whether the broker has them; None where the
            settings name no broker.

        ledger_file: The copy of the ledger; None where the settings name no file.

        horizon: How long the write-ahead log is kept, and how long backups are kept.

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
        self._residue = ResidueSearch(vault, verifier)
        self._publish = publish
        self._ledger_file = ledger_file
        self._horizon = horizon
        self._clock = clock
        self._tombstones = Tombstones(keys.tombstone_key)

    def erase(self, subject: UUID, purpose: str | None) -> int:
        """
        Erase the data of *subject* for *purpose*, or for all purposes when None.

        Returns:
            The number of the erasure.

        An erasure of the same scope that was interrupted is continued.

        Raises:
            Refused: The subject is unknown, or has no decision for the purpose.
            Unavailable: The erasure is not finished; call this again later.
            Residue: All steps are done, and some erased data are still found.
        """
        with self._vault.transaction() as records:
            number = records.erasures.begin(subject, purpose)
        self.go_on(number)
        return number

    def go_on(self, number: int) -> None:
        """
        Do the steps of erasure *number* that are not done yet.

        Raises:
            NotFound: The ledger has no such erasure.
            Unavailable: The erasure is not finished; call this again later.
            Residue: All steps are done, and some erased data are still found.
        """
        with self._vault.transaction() as records:
            erasure = records.erasures.get(number)
        frozen = self._step(number, Frozen, lambda: self._freezer.freeze(erasure))
        marked = self._step(number, Marked, lambda: self._mark(erasure))
        # Also when the mark was recorded before: the process may have stopped right after it.
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
        """Return the recorded facts of a step; do and record the step if there are none."""
        with self._vault.transaction() as records:
            noted = records.erasures.steps(number).get(kind)
        if noted is not None:
            return noted
        facts = do()
        with self._vault.transaction() as records:
            records.erasures.record(number, facts)
            # Another process may have recorded the step first; its record stands.
            return records.erasures.steps(number).get(kind) or facts

    def _copy_mark(self, number: int) -> None:
        """Append the erasure to the ledger's file, before anything is destroyed."""
        if self._ledger_file is not None:
            with self._vault.transaction() as records:
                entry = records.erasures.entry(number)
            self._ledger_file.append(entry)

    def certificate(self, number: int) -> SignedCertificate:
        """
        Return the signed certificate of erasure *number*.

        Raises:
            NotFound: The erasure is unknown or not finished.
        """
        with self._vault.transaction() as records:
            certificate = records.erasures.certified(number)
        return sign(certificate, self._keys)

    def found_again(self, number: int) -> list[FoundAgain]:
        """Return each time that data of erasure *number* came back and were erased again."""
        with self._vault.transaction() as records:
            return [found for found in records.erasures.found_again() if found.number == number]

    # The steps

    def _mark(self, erasure: Erasure) -> Marked:
        """Count what is to be erased, and compute the tombstones that recognise it later."""
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
        """Destroy the data key, handles and exports: identity and bindings are unreadable."""
        # Again: an erasure may continue days later, and the person may have agreed meanwhile.
        frozen = self._freezer.freeze(erasure)
        with self._vault.transaction() as records:
            exports = DeletedExports()
            # The key first: a command that adds a handle or an export for the person waits for it.
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
            # In the same transaction: a second run would have nothing left to count.
            records.erasures.record(erasure.number, facts)
        return facts

    def _erase_rows(self, marked: Marked) -> RowsErased:
        """Erase rows, compressed or not, and aggregates, of all times."""
        # Rows that were rolled up or compressed after the mark are in other relations, too.
        relations = self._stores.relations(marked.series)
        self._stores.erase_rows(marked.series)
        return RowsErased(relations)

    def _erase_names(self, erasure: Erasure, marked: Marked) -> NamesErased:
        """Erase the names that lead to the rows, and the quarantine of the agents."""
        rows = self._stores.erase_names(
            marked.series, agents=marked.agents, numbers=[erasure.number]
        )
        return NamesErased(rows)

    def _renew_leases(self, marked: Marked) -> LeasesPublished:
        """Publish leases that no longer name the handles, and wait until the broker has them."""
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
        """Rewrite files and statistics, so that they hold no erased row."""
        return FilesRewritten(self._physical_rewrite.sweep([*marked.relations, *rows.relations]))

    def _verify(self, erasure: Erasure) -> FoundNothing:
        """Look through every store once more; erase data that arrived after the mark."""
        back = self._verifier.back_of(erasure.number)
        kept = [] if back is None else self._verifier.repetition.erase(erasure.number, back)
        looked = self._verifier.repetition.finish_rewriting()
        exports = DeletedExports()
        if erasure.purpose is None:
            with self._vault.transaction() as records:
                exports = _discard_exports(records, erasure.subject)
        if residue := [*self._residue.of(erasure), *exports.residue(), *kept]:
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
        Look through every store for data of erasure *number*; return the places that hold some.

        Raises:
            NotFound: The erasure is unknown, or has no mark yet.
            Tampered: The record of the erasure does not verify.
            Unavailable: A database cannot be looked through.
        """
        with self._vault.transaction() as records:
            erasure = records.erasures.get(number)
        return self._residue.of(erasure)


class DeletedExports(msgspec.Struct, frozen=True):
    """How many files of a person's exports were deleted, and how many were not."""

    deleted: int = 0
    kept: int = 0
    """Files that exist and cannot be deleted."""
    others: int = 0
    """Files that records of the vault name and that are no exports: they are left as they are."""

    def residue(self) -> list[str]:
        """Return a description of the files that are still to be deleted; empty for none."""
        return ["files of exports, which cannot be deleted"] if self.kept else []


def _discard_exports(records: Records, subject: UUID) -> DeletedExports:
    """Delete the exports of *subject*, one by one: a file that stays does not stop the others."""
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
    return DeletedExports(deleted, kept, others)


def scope_of(text: str) -> str | None:
    """Return the name of the purpose in *text*, without its version; None for `all`."""
    return None if text == "all" else text.partition("@")[0]
