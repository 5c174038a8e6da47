"""
Rotation of pseudonyms: a purpose continues under new pseudonyms with a new root key.

Handles stay the same, so spooled measurements are not lost: values committed later belong to new
series. Stored values keep their pseudonyms until retention deletes them. The vault records the
remaining work, so the job may be killed at any instruction and started again.
"""

from typing import Final

import msgspec

from trust.domain.purposes import is_name
from trust.errors import Conflict, NotFound, Refused
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler
from trust.vault.protocols import Vault

_GROUP: Final = 100
"""How many agents move in one transaction; ingest waits that long."""


class Rotated(msgspec.Struct, frozen=True):
    """The result of a rotation."""

    purpose: str
    epoch: int
    handles: int
    """How many handles this call moved; earlier calls may have moved others."""
    agents: int
    resumed: bool


class Rotation:
    """
    Rotates pseudonyms.

    Args:
        vault: The vault of epochs and handles.

        reconciler: Updates the telemetry database after each move.

        keys: The store of root keys.
    """

    def __init__(self, vault: Vault, reconciler: Reconciler, keys: Keys) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._keys = keys

    def rotate(self, purpose: str) -> Rotated:
        """
        Begin a new epoch of *purpose*, or complete the one that was begun.

        Raises:
            Refused: There is no such purpose.
            Unavailable: Only some handles have moved; call again to move the rest.
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
            # The key is made before the record: an epoch without its key would stop all work.
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
        Destroy the root key of an epoch that is over; return whether the key existed.

        After that, the pseudonyms of the epoch can never be re-identified.

        Raises:
            Conflict: The epoch is the first one, or handles are still in it.
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
