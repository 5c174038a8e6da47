"""
The first step of an erasure: end all measuring and storing of the person's data.

Damaged records of the person do not stop this step. A decision that cannot be read is reported,
and the handles of its purpose end all the same.
"""

from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from runtime.logs import Log, describe
from trust.consent.consent import Consent
from trust.consent.ending import end_handles
from trust.decisions.decisions import State, state
from trust.domain.erasure_steps import Frozen
from trust.domain.units import Cause, UnitKind
from trust.errors import NotInForce
from trust.keys.epochs import pseudonyms_of
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler
from trust.telemetry.erasure import Stores
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault
from trust.vault.records.erasures import Erasure

_log: Final = Log("trust.erasure.freezing")


class Names(msgspec.Struct, frozen=True):
    """The purposes, pseudonyms, handles and agents of a person in the scope of an erasure."""

    purposes: list[str]
    """Purposes for which the person has a decision or a handle."""
    pseudonyms: list[bytes]
    handles: list[bytes]
    agents: list[str]
    """Agents that have a handle of the person, as far as the vault knows."""

    def __repr__(self) -> str:
        return "Names(…)"


class Freezer:
    """
    Withdraws the consents of a person and the permissions that follow from them.

    Args:
        vault: The vault, with the decisions and handles.

        stores: The telemetry database; it may have permissions that the vault does not know.

        consent: Records the withdrawals.

        reconciler: Brings agents up to date.

        keys: Derive pseudonyms.

        controller: The organisation that answers for the processing.
    """

    def __init__(
        self,
        vault: Vault,
        stores: Stores,
        consent: Consent,
        reconciler: Reconciler,
        keys: Keys,
        *,
        controller: str,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._consent = consent
        self._reconciler = reconciler
        self._keys = keys
        self._controller = controller

    def freeze(self, erasure: Erasure) -> Frozen:
        """
        End consents, handles and permissions in the scope of *erasure*; return the facts.

        Raises:
            KeyFileError: A pseudonym key exists and cannot be used.
            Unavailable: A database is out of reach; call this again later.
        """
        subject = erasure.subject
        names = self.names(erasure)
        with self._vault.transaction() as records:
            is_erased = records.subjects.is_erased(subject)
        withdrawn, unverified = [], []
        for purpose in names.purposes:
            done = (
                False
                if is_erased
                else attempt(partial(self._withdraw, subject, purpose), kind=UnitKind.PERSON)
            )
            if isinstance(done, Cause):
                unverified.append(purpose)
            elif done:
                withdrawn.append(purpose)
            # The handles end whatever the decisions are, also when they are lost.
            end_handles(self._vault, subject, purpose)
        return Frozen(withdrawn, len(unverified), in_force=self._reconcile(names))

    def names(self, erasure: Erasure) -> Names:
        """
        Return all names that lead to data in the scope of *erasure*, from the records that remain.

        Raises:
            KeyFileError: A pseudonym key of a purpose of the person exists and cannot be used.
            Unavailable: The vault is out of reach; call this again later.
        """
        subject = erasure.subject
        with self._vault.transaction() as records:
            handles = records.handles.of(subject, erasure.purpose)
            theirs = (
                [erasure.purpose]
                if erasure.purpose
                else records.decisions.purposes_with_handles(subject)
            )
            # Decisions and handles of the person may be lost while their observations still exist.
            others = [] if erasure.purpose else sorted({*records.purposes.names()} - {*theirs})
            epochs = {name: records.epochs.numbers(name) for name in [*theirs, *others]}
        return Names(
            purposes=theirs,
            # A pseudonym whose key is destroyed cannot be derived; its rows are found by handle.
            pseudonyms=[
                pseudonym.value
                for name, known in epochs.items()
                for pseudonym in pseudonyms_of(
                    subject,
                    keys=self._keys,
                    controller=self._controller,
                    purpose=name,
                    epochs=known,
                    skip_damaged=name in others,
                )
            ],
            handles=[handle for handle, _, _, _ in handles],
            agents=sorted({agent for _, agent, _, _ in handles}),
        )

    def _withdraw(self, subject: UUID, purpose: str) -> bool:
        """Record the withdrawal of *purpose* if it is accepted; return whether it was accepted."""
        with self._vault.transaction() as records:
            is_open = state(records.decisions.chain(subject, purpose)) is State.ACCEPTED
        if is_open:
            self._consent.record_withdrawn(subject, purpose)
        return is_open

    def _reconcile(self, names: Names) -> bool:
        """Reconcile every gateway with a permission for *names*; return whether all succeeded."""
        permitting = self._stores.permitting(pseudonyms=names.pseudonyms, handles=names.handles)
        with self._vault.transaction() as records:
            records.leases.mark_stale(permitting)
        try:
            # A command may have stopped after it wrote the vault: permissions may still exist.
            self._reconciler.reconcile(sorted({*names.agents, *permitting}))
        except NotInForce as exc:
            # Its permissions are erased with the names; the certificate waits for its new lease.
            _log.warning("not_in_force", error=describe(exc))
            return False
        return True
