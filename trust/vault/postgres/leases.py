"""Leases, in PostgreSQL."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from runtime.database import named_sql
from trust.decisions.leases import sealed_packet_bytes
from trust.ports import SealedLease
from trust.vault.database import Row
from trust.vault.records.leases import Leases
from trust.vault.repository import Repository


class PostgresLeases(Repository, Leases):
    """The statements of leases.sql."""

    _sql = named_sql.read("trust.vault", "leases.sql")

    def mark_stale(self, agents: Sequence[str]) -> None:
        self._run("mark_stale", list(agents))

    def wanted(self, agent: str) -> int:
        rows = self._fetch("wanted", agent)
        return int(rows[0][0]) if rows else 0

    def save_applied(self, agent: str, revision: int) -> None:
        self._run("save_applied", revision, agent)

    def save(
        self, lease: SealedLease | None, agent: str, *, version: int, term: tuple[Any, Any]
    ) -> None:
        sealed = None if lease is None else lease.sealed
        self._run("save", version, sealed, *term, agent)

    def supersede(self, version: int) -> int:
        return self._run("supersede", version)

    def note_padded(self, agents: Sequence[str]) -> int:
        return self._run("note_padded", list(agents))

    def unpad(self, agent: str | None, *, valid_for: dt.timedelta) -> int:
        return self._run("unpad", agent, agent, valid_for)

    def larger(self, *, than_bytes: int) -> list[tuple[str, int]]:
        rows = self._fetch("larger", sealed_packet_bytes(0), than_bytes)
        return [(agent, int(size)) for agent, size in rows]

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("unfinished", older_than, limit)]

    def due(self, *, now: dt.datetime, limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("due", now, limit)]

    def unpublished(self, *, without: Sequence[str] = (), limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("unpublished", list(without), limit)]

    def of(self, agents: Sequence[str]) -> list[SealedLease]:
        return _leases(self._fetch("of", list(agents)))

    def page(self, *, after: str, limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("page", after, limit)]

    def save_published(self, leases: Iterable[SealedLease]) -> None:
        rows = [(lease.version, lease.agent, lease.version) for lease in leases]
        self._run_each("save_published", rows)

    def backlog(self) -> tuple[int, int]:
        unfinished, unpublished = self._fetch("backlog")[0]
        return int(unfinished), int(unpublished)

    def versions_of(self, agents: Iterable[str]) -> dict[str, tuple[int, int]]:
        rows = self._fetch("versions_of", list(agents))
        return {agent: (newest, published) for agent, newest, published in rows}

    def newest_versions(self) -> list[tuple[str, int]]:
        return [(agent, version) for agent, version in self._fetch("newest_versions")]


def _leases(rows: Iterable[Row]) -> list[SealedLease]:
    return [SealedLease(agent, version, bytes(sealed)) for agent, version, sealed in rows]
