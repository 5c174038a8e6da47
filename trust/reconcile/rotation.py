"""
Rotation of pseudonyms: a purpose goes on under new ones, with a root key of their own.

Handles stay, so nothing that waits in a spool is lost: what is committed from then on lies in new
series. What is there keeps its pseudonyms until retention ends it. Everything that is left to do
can be read off the vault, so the job may be killed at any instruction and begun again.
"""

from typing import Final

import msgspec

from trust.domain.purposes import is_name
from trust.errors import Conflict, NotFound, Refused
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler
from trust.vault.protocols import Vault

_GROUP: Final = 100
"""How many agents move in one transaction: it holds up ingest for its length."""


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation came to."""

    purpose: str
    epoch: int
    handles: int
    """Moved by this call; others may have moved before."""
    agents: int
    resumed: bool


class Rotation:
    """
    Rotates pseudonyms.

    Args:
        vault: Where epochs and handles are.

        reconciler: What brings the telemetry database to them.

        keys: Where root keys are.
    """

    def __init__(self, vault: Vault, reconciler: Reconciler, keys: Keys) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._keys = keys

    def rotate(self, purpose: str) -> Rotated:
        """
        Begin a new epoch of *purpose*, or finish one that was begun.

        Raises:
            Refused: There is no such purpose.
            Unavailable: Some has moved; do it again to move the rest.
        """
        if not is_name(purpose):
            raise Refused("--purpose is not the name of a purpose, without a version")
        epoch, resumed = self._begin(purpose)
        handles = agents = 0
        while moved := self._move(purpose, epoch):
            names, count = moved
            handles, agents = handles + count, agents + len(names)
        with self._vault.transaction() as records:
            records.epochs.mark_moved(purpose, epoch)
        return Rotated(purpose, epoch, handles, agents, resumed)

    def _begin(self, purpose: str) -> tuple[int, bool]:
        with self._vault.transaction() as records:
            records.purposes.lock(purpose)
            if not records.purposes.versions(purpose):
                raise NotFound("purpose", "Load its policy with `vitalveil trust policy load`.")
            unmoved = records.epochs.unmoved(purpose)
            if unmoved is not None:
                return unmoved, True
            epoch = records.epochs.current(purpose) + 1
            # The key before the record: an epoch whose key does not exist would stop everything.
            self._keys.begin_epoch(purpose=purpose, epoch=epoch)
            records.epochs.begin(purpose, epoch)
        return epoch, False

    def _move(self, purpose: str, epoch: int) -> tuple[list[str], int] | None:
        with self._vault.transaction() as records:
            agents = records.handles.agents_below_epoch(purpose, epoch, limit=_GROUP)
            if not agents:
                return None
            records.agents.lock(agents)
            moved = records.handles.move_to_epoch(purpose, epoch, agents=agents)
            records.leases.mark_stale(agents)
        self._reconciler.reconcile(agents)
        return agents, moved

    def destroy(self, purpose: str, epoch: int) -> bool:
        """
        Destroy the root key of an epoch that is over; return whether it was there.

        Its pseudonyms can then be given no name any more, by nobody.

        Raises:
            Conflict: It is the first, or handles are still in it.
        """
        if epoch < 2:
            raise Conflict("the first epoch shares its root with other purposes: keep it")
        with self._vault.transaction() as records:
            records.purposes.lock(purpose)
            if epoch >= records.epochs.current(purpose):
                raise Conflict("that epoch is in force. Rotate first")
            if records.handles.count_by_epoch(purpose).get(epoch):
                raise Conflict("handles are still in that epoch. Finish the rotation first")
            return self._keys.destroy_epoch(purpose=purpose, epoch=epoch)
