"""The interfaces that the reconciler needs: the store of permissions, and the witness."""

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from trust.telemetry.permissions import Change, WrittenPermissions
from trust.vault.records.decisions import Chain


class PermissionStore(Protocol):
    """The store of permissions, from which ingest reads what it may store."""

    def check(self) -> None:
        """
        Check that the database answers; raise otherwise.

        Raises:
            TelemetryUnavailable: The database does not answer.
        """
        ...

    def write(self, changes: Sequence[Change]) -> WrittenPermissions:
        """
        Write *changes*, all or none; on return they are committed.

        A repeated call changes only the versions of leases, which only grow.

        Raises:
            TelemetryUnavailable: Nothing may be written; call again later.
        """
        ...

    def without_lease_key(self, *, after: str, limit: int) -> list[str]:
        """
        Return at most *limit* sealed agents above *after* without a lease key here, ordered by
        name.

        Raises:
            TelemetryUnavailable: The database cannot be read now.
        """
        ...

    def write_lease_keys(self, keys: Mapping[str, bytes]) -> None:
        """
        Write the lease key of each agent in *keys* that has none.

        Raises:
            TelemetryUnavailable: Nothing may be written; call again later.
        """
        ...


class RecordWitness(Protocol):
    """Remembers decisions and registrations of gateways outside the vault."""

    def cut(self, chains: Mapping[Chain, int]) -> Set[Chain]:
        """
        Return those of *chains* that are known to have had more decisions than the given
        number.
        """
        ...

    def exchanged(self, agents: Mapping[str, bytes]) -> Set[str]:
        """
        Return those of *agents* whose registration differs from that at their first sight.

        Args:
            agents: The registration of each agent, which must never change.
        """
        ...
