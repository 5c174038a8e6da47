"""Gateways, in PostgreSQL."""

import datetime as dt
from collections.abc import Iterable, Sequence

from runtime.database import named_sql
from trust.vault.records.agents import Agent, Agents, ListedAgent
from trust.vault.repository import Repository


class PostgresAgents(Repository, Agents):
    """The statements of agents.sql."""

    _sql = named_sql.read("trust.vault", "agents.sql")

    def add(self, agent: str, *, sealed: bool, lease_key: bytes | None) -> None:
        self._run("add_agent", agent, "sealed" if sealed else "json", lease_key)

    def add_certificate(self, agent: str, serial: int, *, not_after: dt.datetime) -> None:
        self._run("add_certificate", serial, agent, not_after)

    def add_all(self, agents: Sequence[tuple[str, bytes | None]]) -> None:
        rows = [(name, "json" if key is None else "sealed", key) for name, key in agents]
        self._run_each("add_agent", rows)

    def add_certificates(self, issued: Sequence[tuple[int, str, dt.datetime]]) -> None:
        self._run_each("add_certificate", issued)

    def lock(self, agents: Iterable[str]) -> list[Agent]:
        return [Agent(*row) for row in self._fetch("lock_agents", list(agents))]

    def hold_all(self, agents: Sequence[str]) -> list[str]:
        return [agent for (agent,) in self._fetch("hold_agents", list(agents))]

    def hold(self, agent: str) -> tuple[str, bool] | None:
        return next(((kind, gone) for kind, gone in self._fetch("hold_agent", agent)), None)

    def has_lease_key(self, lease_key: bytes) -> bool:
        self._fetch("lock_lease_key", lease_key.hex())
        return bool(self._fetch("has_lease_key", lease_key))

    def revoke(self, agent: str) -> None:
        self._run("revoke_agent", agent)
        self._run("revoke_certificates", agent)

    def uncut(self) -> list[str]:
        return [agent for (agent,) in self._fetch("uncut")]

    def note_cut(self, agents: Sequence[str]) -> None:
        self._run("note_cut", list(agents))

    def owners_of(self, serials: Iterable[int]) -> list[str]:
        return [agent for (agent,) in self._fetch("owners_of_certificates", list(serials))]

    def revocations(self) -> list[tuple[int, dt.datetime]]:
        return [(int(serial), at) for serial, at in self._fetch("revocations")]

    def note_clone_sign(self, agent: str, kind: str) -> None:
        self._run("note_clone_sign", agent, kind)

    def vouch(self, agent: str) -> int:
        return self._run("vouch", agent)

    def page(self, *, after: str, limit: int) -> list[ListedAgent]:
        return [ListedAgent(*row) for row in self._fetch("page", after, limit)]
