"""Leases: what each gateway should hold, what telemetry has of it, and what the broker has."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from trust.ports import SealedLease


class Leases(Protocol):
    """The lease of each gateway: what it should hold, what telemetry and what the broker has."""

    def mark_stale(self, agents: Sequence[str]) -> None:
        """Note that what *agents* may measure has changed."""
        ...

    def wanted(self, agent: str) -> int:
        """Return how many changes of *agent* are wanted so far; 0 without one."""
        ...

    def save_applied(self, agent: str, revision: int) -> None:
        """Note that the telemetry database has *revision* of *agent*."""
        ...

    def save(
        self, lease: SealedLease | None, agent: str, *, version: int, term: tuple[Any, Any]
    ) -> None:
        """Keep the lease of *agent* until the broker has it; *term* is its end and the next."""
        ...

    def supersede(self, version: int) -> int:
        """Have a new lease issued to every agent, above *version*; return to how many."""
        ...

    def note_padded(self, agents: Sequence[str]) -> int:
        """
        Note that *agents* read padded leases, and have such a lease issued to them.

        Returns:
            Of how many that was not known. Passed over are those that are not there, are revoked,
            speak JSON, or have leases without padding for a time.
        """
        ...

    def unpad(self, agent: str | None, *, valid_for: dt.timedelta) -> int:
        """Have leases of *agent*, or of all, be without padding so long; return how many."""
        ...

    def larger(self, *, than_bytes: int) -> list[tuple[str, int]]:
        """Return gateways whose lease takes a larger packet, and how large; the largest first."""
        ...

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        """Return agents, but those set aside, whose change the telemetry database has not."""
        ...

    def due(self, *, now: dt.datetime, limit: int) -> list[str]:
        """Return agents, but those set aside, whose next lease is due."""
        ...

    def unpublished(self, *, without: Sequence[str] = (), limit: int) -> list[SealedLease]:
        """Return leases that the broker does not have, but those set aside and *without*."""
        ...

    def of(self, agents: Sequence[str]) -> list[SealedLease]:
        """Return the newest leases of *agents*."""
        ...

    def page(self, *, after: str, limit: int) -> list[SealedLease]:
        """Return the newest leases of agents whose id is above *after*, in their order."""
        ...

    def save_published(self, leases: Iterable[SealedLease]) -> None:
        """Note that the broker has *leases*."""
        ...

    def backlog(self) -> tuple[int, int]:
        """Return how many changes wait for the telemetry database, and leases for the broker."""
        ...

    def versions_of(self, agents: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return for each of *agents* the versions of its newest and its last published lease."""
        ...

    def newest_versions(self) -> list[tuple[str, int]]:
        """Return the version of each agent's newest lease."""
        ...
