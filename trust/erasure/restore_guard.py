"""
Restore guard: after a restore, erase again what came back, before ingest may store.

A telemetry database that was started or restored is closed to ingest (`vv.hold_permissions` says
so) until it is cleared here: until every erasure of the ledger is known to have been done in it,
every agent's permissions are those of the vault, and what is restricted there is left out here.
"""

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
from trust.vault.records.erasures import Entry, Erasure

_GROUP: Final = 100
_log: Final = Log("trust.erasure.restore_guard")


class RestoreGuard:
    """
    Clears the telemetry database; it is the guard that `Reconciler` asks before it writes there.

    Args:
        vault: With the ledger.

        stores: The telemetry database, which is cleared.

        reconciler: Brings agents up to date while the database is still closed.

        keys: For pseudonyms.

        witness: Tells which chains of decisions lost their end: what they say of a restriction is
            not believed.

        controller: The organisation that answers for the processing.

        verifier: Erases again what came back; on the same unguarded reconciler.

        ledger_copy: Tells whether every erasure is known.

        ledger_file: The ledger's copy.
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
        Return once the telemetry database is cleared; at once, if it is.

        Raises:
            Unavailable: It cannot be; do it again later.
        """
        if not self._stores.is_cleared():
            self.clear()

    def clear(self) -> list[int]:
        """
        Erase again everybody whose names came back, and clear the telemetry database.

        Rows that no name leads to, and the files, are left to the verification: ingest does not
        wait for them. Nor does it wait for an erasure that cannot be done again: what belongs to
        it is shut, and the verification tries it again.

        Returns:
            The erasures that were done again.

        Raises:
            Unavailable: Not all is done; do it again later.
        """
        self._ledger_copy.ensure()
        again = self._take_over_file()
        numbers = self._numbers()
        # Before agents are brought up to date: who agreed again since would be given the series
        # that came back, and lose them with it.
        names = self._verifier.erase_names_again()
        again += names.erased_again
        self._stores.note_erasures(numbers)
        self._bring_up_to_date()
        self._restrict_again()
        # Last: nothing of before may open it again.
        self._shut(names)
        self._stores.clear(numbers)
        if again:
            _log.warning("erased_again", erasures=len(set(again)))
        return sorted(set(again))

    def _take_over_file(self) -> list[int]:
        """Do again, in a vault that was restored, what only the ledger's file knows of."""
        again = []
        for entry in self._ledger_file.readable() if self._ledger_file else ():
            number = attempt(partial(self._enter, entry), kind=UnitKind.PERSON)
            if isinstance(number, Cause):
                # Somebody wrote into the file, or the vault does not take the line. The others are
                # as good as before, and what this one says is looked for from the file.
                _log.error("tampered_ledger_file")
            elif number is not None:
                again.append(number)
        return again

    def _enter(self, entry: Entry) -> int | None:
        with self._vault.transaction() as records:
            number = records.erasures.enter(entry)
            if number is not None:
                if entry.erasure.purpose is None:
                    records.subjects.destroy_key(entry.erasure.subject)
                records.erasures.record(number, Entered())
        return number

    def _shut(self, names: NamesAgain) -> None:
        """
        Keep what could not be erased again from being stored to and shown, and nothing else.

        Raises:
            TelemetryUnavailable: It cannot be; then the database stays closed.
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
        """Return what the person of *erasure* is called; nothing where they agreed again since."""
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
        """Return the erasures of the ledger that can be done again."""
        with self._vault.transaction() as records:
            marks, tampered = records.erasures.marks()
        if tampered:
            _log.error("tampered_erasures", erasures=len(tampered))
        return [mark.erasure.number for mark in marks]

    def _bring_up_to_date(self) -> None:
        """Bring the agents whose newest lease the telemetry database does not know."""
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
        """Leave out what is restricted, and let in what was lifted: a backup may know neither."""
        with self._vault.transaction() as records:
            scopes = [
                (*scope, records.epochs.numbers(scope[1]))
                for scope in records.decisions.restricted()
            ]
        for subject, purpose, epochs in scopes:
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
                # Left out rather than let in; and nobody else is kept waiting for it.
                _log.error("tampered_restriction")
            is_restricted = isinstance(found, Cause) or found
            self._stores.restrict([n.value for n in names], is_restricted=is_restricted)

    def _is_restricted(self, subject: UUID, purpose: str) -> bool:
        with self._vault.transaction() as records:
            chain = records.decisions.chain(subject, purpose)
        is_cut = bool(self._witness.cut({(subject, purpose): len(chain)}))
        return is_cut or state(chain) is State.RESTRICTED
