"""Leases, in memory."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import AgentRow
from trust.decisions.leases import sealed_packet_bytes
from trust.domain.units import UnitKind, Work
from trust.errors import VaultUnavailable
from trust.ports import SealedLease
from trust.vault.records.leases import Leases


class MemoryLeases(MemoryRepository, Leases):
    """Leases, in memory."""

    def mark_stale(self, agents: Sequence[str]) -> None:
        for agent, row in self._tables.agents.items():
            if agent in agents:
                self._count_change(row)

    def _count_change(self, row: AgentRow) -> None:
        row.wanted, row.wanted_at = row.wanted + 1, self._now()

    def wanted(self, agent: str) -> int:
        row = self._tables.agents.get(agent)
        return 0 if row is None else row.wanted

    def save_applied(self, agent: str, revision: int) -> None:
        if (row := self._tables.agents.get(agent)) is not None:
            row.applied = revision

    def save(
        self, lease: SealedLease | None, agent: str, *, version: int, term: tuple[Any, Any]
    ) -> None:
        if (row := self._tables.agents.get(agent)) is not None:
            row.lease_version = version
            row.lease = None if lease is None else lease.sealed
            row.lease_not_after, row.due_at = term

    def supersede(self, version: int) -> int:
        for row in self._tables.agents.values():
            row.lease_version = max(row.lease_version, version)
            self._count_change(row)
        return len(self._tables.agents)

    def note_padded(self, agents: Sequence[str]) -> int:
        now = self._now()
        new = [
            row
            for agent, row in self._tables.agents.items()
            if agent in agents
            and row.reads_padded_since is None
            and row.revoked_at is None
            and row.format == "sealed"
            and (row.unpadded_until is None or row.unpadded_until <= now)
        ]
        for row in new:
            row.reads_padded_since = now
            self._count_change(row)
        return len(new)

    def unpad(self, agent: str | None, *, valid_for: dt.timedelta) -> int:
        found = [
            row
            for name, row in self._tables.agents.items()
            if agent in (None, name) and row.revoked_at is None and row.format == "sealed"
        ]
        for row in found:
            row.reads_padded_since, row.unpadded_until = None, self._now() + valid_for
            self._count_change(row)
        return len(found)

    def larger(self, *, than_bytes: int) -> list[tuple[str, int]]:
        sizes = [
            (agent, len(row.lease) + sealed_packet_bytes(0))
            for agent, row in self._tables.agents.items()
            if row.revoked_at is None and row.lease is not None
        ]
        found = [(agent, size) for agent, size in sizes if size > than_bytes]
        return sorted(found, key=lambda one: (-one[1], one[0]))[:1000]

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        long_ago = self._now() - older_than
        found = [
            (row.wanted_at, agent)
            for agent, row in self._tables.agents.items()
            if row.applied < row.wanted
            and row.wanted_at < long_ago
            and not any(tried >= row.wanted for tried in self._waiting(agent))
        ]
        return [agent for _, agent in sorted(found)][:limit]

    def due(self, *, now: dt.datetime, limit: int) -> list[str]:
        found = [
            (row.due_at, agent)
            for agent, row in self._tables.agents.items()
            if row.due_at is not None and row.due_at <= now and not list(self._waiting(agent))
        ]
        return [agent for _, agent in sorted(found)][:limit]

    def _waiting(self, agent: str) -> Iterator[int]:
        """
        Yield the last tried change of *agent*, if the agent failed and waits for its
        next attempt.
        """
        for (work, stands_in, kind, _), row in self._tables.set_aside.items():
            if (work, stands_in, kind) == (Work.LEASE, agent, UnitKind.GATEWAY) and (
                row.next_attempt_at > self._now()
            ):
                yield -1 if row.tried is None else row.tried

    def unpublished(self, *, without: Sequence[str] = (), limit: int) -> list[str]:
        waiting = [
            lease.agent
            for lease in self._leases(skips_refused=True)
            if self._tables.agents[lease.agent].published_version < lease.version
            and lease.agent not in without
        ]
        return waiting[:limit]

    def of(self, agents: Sequence[str]) -> list[SealedLease]:
        if self._tables.damaged_leases.intersection(agents):
            raise VaultUnavailable("DataCorrupted XX001", is_of_a_row=True)
        return [lease for lease in self._leases() if lease.agent in agents]

    def page(self, *, after: str, limit: int) -> list[str]:
        agents = [one.agent for one in self._leases(skips_refused=True)]
        return [agent for agent in agents if agent > after][:limit]

    def _leases(self, *, skips_refused: bool = False) -> list[SealedLease]:
        refused = {
            stands_in
            for work, stands_in, _, _ in self._tables.set_aside
            if work is Work.PUBLICATION and skips_refused
        }
        return [
            SealedLease(agent, row.lease_version, row.lease)
            for agent, row in sorted(self._tables.agents.items())
            if row.lease is not None and agent not in refused
        ]

    def save_published(self, leases: Iterable[SealedLease]) -> None:
        for lease in leases:
            if (row := self._tables.agents.get(lease.agent)) is not None:
                row.published_version = max(row.published_version, lease.version)

    def backlog(self) -> tuple[int, int]:
        rows = self._tables.agents.values()
        waiting = [
            r for r in rows if r.lease is not None and r.published_version < r.lease_version
        ]
        return sum(row.applied < row.wanted for row in rows), len(waiting)

    def versions_of(self, agents: Iterable[str]) -> dict[str, tuple[int, int]]:
        known = self._tables.agents
        return {
            agent: (known[agent].lease_version, known[agent].published_version)
            for agent in sorted(set(agents) & known.keys())
        }

    def newest_versions(self) -> list[tuple[str, int]]:
        rows = sorted(self._tables.agents.items())
        return [(agent, row.lease_version) for agent, row in rows if row.lease_version > 0]
