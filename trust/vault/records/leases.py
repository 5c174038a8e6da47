"""Leases: what each gateway should hold, what telemetry has of it, and what the broker has."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from trust.ports import SealedLease


class Leases(Protocol):
    """The lease of each gateway: what it should hold, what telemetry and what the broker has."""

    def mark_stale(self, agents: Sequence[str]) -> None:
        """Count one change of what *agents* may measure: they are to be reconciled."""
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
        Replace the lease of *agent*; it waits here until the broker has it.

        Args:
            lease: None for an agent that sends JSON.

            agent: Its id.

            version: Of the lease, also where there is none to seal.

            term: When the lease ends, and when the next one is due.
        """
        ...

    def supersede(self, version: int) -> int:
        """Have a lease above *version* issued to every agent; return how many there are."""
        ...

    def note_padded(self, agents: Sequence[str]) -> int:
        """
        Record that *agents* read padded leases, and have one issued to each.

        Returns:
            For how many that is new. Skipped are those that do not exist, are revoked, send JSON,
            or were set to leases without padding for a time.
        """
        ...

    def unpad(self, agent: str | None, *, valid_for: dt.timedelta) -> int:
        """Have leases of *agent*, or of all for None, be unpadded this long; return how many."""
        ...

    def larger(self, *, than_bytes: int) -> list[tuple[str, int]]:
        """Return agents whose lease takes a larger packet, and its size; the largest first."""
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

    def unpublished(self, *, without: Sequence[str] = (), limit: int) -> list[SealedLease]:
        """Return leases that the broker lacks, except refused ones and those of *without*."""
        ...

    def of(self, agents: Sequence[str]) -> list[SealedLease]:
        """Return the newest lease of each of *agents* that has one."""
        ...

    def page(self, *, after: str, limit: int) -> list[SealedLease]:
        """Return the newest leases of the next agents above *after*; not those that it refused."""
        ...

    def save_published(self, leases: Iterable[SealedLease]) -> None:
        """Record that the broker has *leases*; a later version that is recorded stands."""
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
