"""
The first step of an erasure: nothing more of the person is measured or stored from here on.

Nothing that is wrong with the person's own records stops it. What cannot be read is told in words,
and ended without being read.
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
    """What a person is known by for what is to be erased."""

    purposes: list[str]
    """That they decided about, or have a handle for."""
    pseudonyms: list[bytes]
    handles: list[bytes]
    agents: list[str]
    """Where there is a handle of theirs, as far as the vault knows."""

    def __repr__(self) -> str:
        return "Names(…)"


class Freezer:
    """
    Ends what a person may still be measured for.

    Args:
        vault: With the decisions and handles.

        stores: Where permissions are that the vault perhaps does not know any more.

        consent: Records that it ends.

        reconciler: Brings agents up to date.

        keys: For pseudonyms.

        controller: Who answers for the processing.
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
        End what is to be erased; return what was done, for the ledger.

        Raises:
            KeyFileError: A pseudonym key is there and cannot be used.
            Unavailable: Do it again later.
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
            # Whatever the decisions are, or are not any more.
            end_handles(self._vault, subject, purpose)
        return Frozen(withdrawn, len(unverified), in_force=self._reconcile(names))

    def names(self, erasure: Erasure) -> Names:
        """
        Return everything that leads to what is to be erased, from what is left of the records.

        Raises:
            KeyFileError: A pseudonym key of a purpose of theirs is there and cannot be used.
            Unavailable: Do it again later.
        """
        subject = erasure.subject
        with self._vault.transaction() as records:
            handles = records.handles.of(subject, erasure.purpose)
            theirs = (
                [erasure.purpose]
                if erasure.purpose
                else records.decisions.purposes_with_handles(subject)
            )
            # Their decisions and handles may be lost, while what is stored of them is not.
            others = [] if erasure.purpose else sorted({*records.purposes.names()} - {*theirs})
            epochs = {name: records.epochs.numbers(name) for name in [*theirs, *others]}
        return Names(
            purposes=theirs,
            # One whose key is destroyed cannot be made again; its rows are found by handle.
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
        """Record that *purpose* is withdrawn, if it is accepted; return whether it was."""
        with self._vault.transaction() as records:
            is_open = state(records.decisions.chain(subject, purpose)) is State.ACCEPTED
        if is_open:
            self._consent.record_withdrawn(subject, purpose)
        return is_open

    def _reconcile(self, names: Names) -> bool:
        """Bring every gateway that permits something of *names*; return whether all could be."""
        permitting = self._stores.permitting(pseudonyms=names.pseudonyms, handles=names.handles)
        with self._vault.transaction() as records:
            records.leases.mark_stale(permitting)
        try:
            # An order cut off after the vault had it: the permissions may still be there.
            self._reconciler.reconcile(sorted({*names.agents, *permitting}))
        except NotInForce as exc:
            # What was permitted there goes with the names; the certificate waits for the lease.
            _log.warning("not_in_force", error=describe(exc))
            return False
        return True
