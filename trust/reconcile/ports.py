"""What reconciling needs of the telemetry database: a place for permissions, and a witness."""

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from trust.telemetry.permissions import Change, WrittenPermissions
from trust.vault.records.decisions import Chain


class PermissionStore(Protocol):
    """Where ingest reads what may be stored."""

    def check(self) -> None:
        """
        Return if the database is there.

        Raises:
            TelemetryUnavailable: It is not.
        """
        ...

    def write(self, changes: Sequence[Change]) -> WrittenPermissions:
        """
        Bring the database to *changes*, all of them or none; on return they are committed.

        Doing it again changes nothing but the versions of leases, which only grow.

        Raises:
            TelemetryUnavailable: Do it again later.
        """
        ...

    def without_lease_key(self, *, after: str, limit: int) -> list[str]:
        """
        Return sealed agents after *after* whose lease key is not written, in order of their names.

        Raises:
            TelemetryUnavailable: It cannot be read now.
        """
        ...

    def write_lease_keys(self, keys: Mapping[str, bytes]) -> None:
        """
        Write the lease key of each agent in *keys* that has none.

        Raises:
            TelemetryUnavailable: Do it again later.
        """
        ...


class RecordWitness(Protocol):
    """Remembers decisions and registrations of gateways outside the vault."""

    def cut(self, chains: Mapping[Chain, int]) -> Set[Chain]:
        """Return those of *chains* that are known to have had more decisions than so many."""
        ...

    def exchanged(self, agents: Mapping[str, bytes]) -> Set[str]:
        """
        Return those of *agents* that were registered otherwise when they were first seen here.

        Args:
            agents: What each is registered with, which never changes.
        """
        ...
