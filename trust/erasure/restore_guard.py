"""
Restore guard: after a restore, repeat the erasures before ingest may store.

A telemetry database that was started or restored is closed to ingest (`vv.hold_permissions` reads
this state) until this module clears it. Before that, every erasure of the ledger was done in the
database, the permissions of every agent are those of the vault, and the views leave out every
restricted series.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Final
from uuid import UUID

from runtime.logs import Log
from trust.decisions.decisions import State, state
from trust.domain.erasure_steps import Entered
from trust.domain.units import Cause, UnitKind
from trust.erasure.ledger_copy import LedgerCopy
from trust.erasure.verification import NamesAgain, Verifier
from trust.integrity.witness import Witness
from trust.keys.epochs import pseudonyms_of
from trust.ports import Keys
from trust.reconcile.reconciler import UnguardedReconciler
from trust.telemetry.erasure import Stores
from trust.vault.erasure_file import LedgerFile
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault
from trust.vault.records.decisions import Chain
from trust.vault.records.erasures import Erasure, LedgerEntry

_GROUP: Final = 100
_log: Final = Log("trust.erasure.restore_guard")


class RestoreGuard:
    """
    Clears the telemetry database; `Reconciler` asks this guard before it writes to the database.

    Args:
        vault: The vault, with the ledger.

        stores: The telemetry database, which is cleared.

        reconciler: Brings agents up to date while the database is still closed.

        keys: Derive pseudonyms.

        witness: Finds chains of decisions that lost their end: their restrictions are unknown.

        controller: The organisation that answers for the processing.

        verifier: Erases again the data that came back, with the same unguarded reconciler.

        ledger_copy: Checks that every erasure is known.

        ledger_file: The copy of the ledger; None where the settings name no file.
    """

    def __init__(  # noqa: PLR0913 - it brings a database to all that the vault knows
        self,
        vault: Vault,
        stores: Stores,
        reconciler: UnguardedReconciler,
        keys: Keys,
        *,
        witness: Witness,
        controller: str,
        verifier: Verifier,
        ledger_copy: LedgerCopy,
        ledger_file: LedgerFile | None,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._reconciler = reconciler
        self._keys = keys
        self._witness = witness
        self._controller = controller
        self._verifier = verifier
        self._ledger_copy = ledger_copy
        self._ledger_file = ledger_file

    def ensure(self) -> None:
        """
        Clear the telemetry database, unless it is cleared already.

        Raises:
            Unavailable: The database is not cleared; call this again later.
        """
        if not self._stores.is_cleared():
            self.clear()

    def clear(self) -> list[int]:
        """
        Erase again all persons whose names came back, and clear the telemetry database.

        The verification handles rows without a name, and the files: ingest does not wait for them.
        Ingest does not wait for an erasure that fails either: its series are shut, and the
        verification repeats the erasure.

        Returns:
            The sorted numbers of the erasures that were done again.

        Raises:
            LedgerLost: Some erasures are unknown.
            Unavailable: The database is not cleared; call this again later.
        """
        self._ledger_copy.ensure()
        again = self._take_over_file()
        numbers = self._numbers()
        # Before agents are brought up to date: a person who agreed again would otherwise get the
        # series that came back, and then lose it by the erasure.
        names = self._verifier.erase_names_again()
        again += names.erased_again
        self._stores.note_erasures(numbers)
        self._bring_up_to_date()
        self._restrict_again()
        # Last: no earlier step may open the series again.
        self._shut(names)
        self._stores.clear(numbers)
        if again:
            _log.warning("erased_again", erasures=len(set(again)))
        return sorted(set(again))

    def _take_over_file(self) -> list[int]:
        """Enter in the vault the erasures that only the ledger's file knows; return numbers."""
        again = []
        for entry in self._ledger_file.readable() if self._ledger_file else ():
            number = attempt(partial(self._enter, entry), kind=UnitKind.PERSON)
            if isinstance(number, Cause):
                # The line was changed, or the vault refuses it. The other lines stay valid, and
                # the verification looks for the erasure of this line from the file.
                _log.error("tampered_ledger_file")
            elif number is not None:
                again.append(number)
        return again

    def _enter(self, entry: LedgerEntry) -> int | None:
        with self._vault.transaction() as records:
            number = records.erasures.enter(entry)
            if number is not None:
                if entry.erasure.purpose is None:
                    records.subjects.destroy_key(entry.erasure.subject)
                records.erasures.record(number, Entered())
        return number

    def _shut(self, names: NamesAgain) -> None:
        """
        Shut the series of erasures that failed: nothing is stored to them or shown of them.

        Raises:
            TelemetryUnavailable: The series are not shut; the database stays closed.
        """
        for back in names.failed.values():
            self._stores.shut(
                series=sorted(back.series), handles=sorted(back.handles), pseudonyms=[]
            )
        for erasure in names.unknown:
            pseudonyms = self._pseudonyms_of(erasure)
            self._stores.shut(series=[], handles=[], pseudonyms=pseudonyms)
        if shut := len(names.failed) + len(names.unknown):
            _log.error("shut_out", erasures=shut)

    def _pseudonyms_of(self, erasure: Erasure) -> list[bytes]:
        """Return the pseudonyms of the person of *erasure*; none if they agreed again since."""
        with self._vault.transaction() as records:
            if erasure.purpose is not None and records.handles.of(
                erasure.subject, erasure.purpose
            ):
                return []
            purposes = [erasure.purpose] if erasure.purpose else records.purposes.names()
            epochs = {name: records.epochs.numbers(name) for name in purposes}
        return [
            pseudonym.value
            for name, known in epochs.items()
            for pseudonym in pseudonyms_of(
                erasure.subject,
                keys=self._keys,
                controller=self._controller,
                purpose=name,
                epochs=known,
                skip_damaged=True,
            )
        ]

    def _numbers(self) -> list[int]:
        """Return the numbers of the erasures in the ledger whose records verify."""
        with self._vault.transaction() as records:
            marks, tampered = records.erasures.marks()
        if tampered:
            _log.error("tampered_erasures", erasures=len(tampered))
        return [mark.erasure.number for mark in marks]

    def _bring_up_to_date(self) -> None:
        """Reconcile the agents whose newest lease the telemetry database does not know."""
        there = self._stores.lease_versions()
        with self._vault.transaction() as records:
            leases = records.leases.newest_versions()
        behind = [agent for agent, version in leases if there.get(agent, 0) < version]
        for first in range(0, len(behind), _GROUP):
            group = behind[first : first + _GROUP]
            with self._vault.transaction() as records:
                records.leases.mark_stale(group)
            self._reconciler.attempt(group)

    def _restrict_again(self) -> None:
        """Apply every restriction and every lifted restriction: a backup may lack both."""
        for subject, purpose, epochs in self._ever_restricted():
            names = pseudonyms_of(
                subject,
                keys=self._keys,
                controller=self._controller,
                purpose=purpose,
                epochs=epochs,
                skip_damaged=True,
            )
            found = attempt(partial(self._is_restricted, subject, purpose), kind=UnitKind.PERSON)
            if isinstance(found, Cause):
                # When in doubt, the series is left out. The work for other persons continues.
                _log.error("tampered_restriction")
            is_restricted = isinstance(found, Cause) or found
            self._stores.restrict([n.value for n in names], is_restricted=is_restricted)

    def _ever_restricted(self) -> list[tuple[UUID, str, list[int]]]:
        """Return each subject and purpose with a restriction, and the purpose's key epochs."""
        scopes = attempt(self._restrictions, kind=UnitKind.PERSON)
        if isinstance(scopes, Cause):
            # One decision cannot be read, so each possible chain is read by itself.
            scopes = list(self._chains())
        with self._vault.transaction() as records:
            return [(*scope, records.epochs.numbers(scope[1])) for scope in scopes]

    def _restrictions(self) -> list[Chain]:
        with self._vault.transaction() as records:
            return records.decisions.restricted()

    def _chains(self) -> Iterator[Chain]:
        after = UUID(int=0)
        while True:
            with self._vault.transaction() as records:
                subjects = [who for who, _ in records.subjects.page(after=after, limit=_GROUP)]
                purposes = records.purposes.names()
            if not subjects:
                return
            yield from itertools.product(subjects, purposes)
            after = subjects[-1]

    def _is_restricted(self, subject: UUID, purpose: str) -> bool:
        with self._vault.transaction() as records:
            chain = records.decisions.chain(subject, purpose)
        is_cut = bool(self._witness.cut({(subject, purpose): len(chain)}))
        return is_cut or state(chain) is State.RESTRICTED
