"""Leases: the newest of each gateway, and how far telemetry and the broker follow it."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from trust.ports import SealedLease


class Leases(Protocol):
    """Repository of leases: the newest of each gateway, and whether it is published."""

    def mark_stale(self, agents: Sequence[str]) -> None:
        """Count a change for *agents*, so that their leases and permissions are reconciled."""
        ...

    def wanted(self, agent: str) -> int:
        """Return how many changes of *agent* were counted so far; 0 for an unknown agent."""
        ...

    def save_applied(self, agent: str, revision: int) -> None:
        """Record that the telemetry database has change *revision* of *agent*."""
        ...

    def save(
        self, lease: SealedLease | None, agent: str, *, version: int, term: tuple[Any, Any]
    ) -> None:
        """
        Replace the lease of *agent*; the new lease waits in the vault until the broker has it.

        Args:
            lease: The sealed lease; None for an agent that sends JSON.

            agent: The id of the agent.

            version: The version of the lease, also if *lease* is None.

            term: When the lease ends, and when the next one is due.
        """
        ...

    def supersede(self, version: int) -> int:
        """Request a lease above *version* for every agent; return the number of agents."""
        ...

    def note_padded(self, agents: Sequence[str]) -> int:
        """
        Record that *agents* read padded leases, and request a padded lease for each.

        Agents that do not exist, are revoked, send JSON or were set to leases without padding for
        a time are skipped.

        Returns:
            How many agents were not recorded as reading padded leases before.
        """
        ...

    def unpad(self, agent: str | None, *, valid_for: dt.timedelta) -> int:
        """
        Switch padding off for a time; return for how many agents.

        Args:
            agent: The id of one agent; None for all.

            valid_for: How long leases remain without padding.
        """
        ...

    def larger(self, *, than_bytes: int) -> list[tuple[str, int]]:
        """Return agents whose lease packet exceeds *than_bytes*, and its size; largest first."""
        ...

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        """
        Return agents with a change that telemetry lacks and that is older than *older_than*.

        Those that were set aside are omitted until their next attempt.
        """
        ...

    def due(self, *, now: dt.datetime, limit: int) -> list[str]:
        """Return agents whose next lease is due, except those that were set aside."""
        ...

    def unpublished(self, *, without: Sequence[str] = (), limit: int) -> list[str]:
        """
        Return agents whose lease the broker lacks, in the order of their ids.

        Those of *without* are omitted, and those whose lease was set aside.
        """
        ...

    def of(self, agents: Sequence[str]) -> list[SealedLease]:
        """Return the newest lease of each of *agents* that has one."""
        ...

    def page(self, *, after: str, limit: int) -> list[str]:
        """Return the next agents above *after* with a lease that was not set aside."""
        ...

    def save_published(self, leases: Iterable[SealedLease]) -> None:
        """Record that the broker has *leases*; a later version that is recorded is kept."""
        ...

    def backlog(self) -> tuple[int, int]:
        """Return how many agents wait for telemetry, and how many leases for the broker."""
        ...

    def versions_of(self, agents: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return the versions of the newest and the last published lease of each of *agents*."""
        ...

    def newest_versions(self) -> list[tuple[str, int]]:
        """Return each agent that has a lease, with the version of the newest."""
        ...
