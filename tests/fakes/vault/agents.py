"""Gateways, in memory."""

import datetime as dt
from collections.abc import Iterable, Sequence

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import AgentRow, CertificateRow, require
from trust.vault.records.agents import Agent, Agents, ListedAgent


class MemoryAgents(MemoryRepository, Agents):
    """Gateways, in memory."""

    def add(self, agent: str, *, sealed: bool, lease_key: bytes | None) -> None:
        require(agent not in self._tables.agents, "agents_pkey")
        require(not sealed or lease_key is not None, "agents_check")
        require(lease_key is None or len(lease_key) == 32, "agents_lease_key_check")
        now = self._now()
        self._tables.agents[agent] = AgentRow(
            "sealed" if sealed else "json", lease_key, enrolled_at=now, wanted_at=now
        )

    def add_certificate(self, agent: str, serial: int, *, not_after: dt.datetime) -> None:
        require(agent in self._tables.agents, "certificates_agent_fkey")
        require(serial not in self._tables.certificates, "certificates_pkey")
        self._tables.certificates[serial] = CertificateRow(agent, not_after)

    def add_all(self, agents: Sequence[tuple[str, bytes | None]]) -> None:
        for agent, lease_key in agents:
            self.add(agent, sealed=lease_key is not None, lease_key=lease_key)

    def add_certificates(self, issued: Sequence[tuple[int, str, dt.datetime]]) -> None:
        for serial, agent, not_after in issued:
            self.add_certificate(agent, serial, not_after=not_after)

    def lock(self, agents: Iterable[str]) -> list[Agent]:
        return [self._agent(agent) for agent in self.hold_all(list(agents))]

    def _agent(self, agent: str) -> Agent:
        row = self._tables.agents[agent]
        ends = [
            certificate.not_after
            for certificate in self._tables.certificates.values()
            if certificate.agent == agent and certificate.revoked_at is None
        ]
        return Agent(
            agent,
            row.format,
            row.lease_key,
            row.revoked_at,
            row.wanted,
            row.applied,
            row.lease_version,
            row.due_at,
            max(ends, default=None),
            row.reads_padded_since is not None,
        )

    def hold_all(self, agents: Sequence[str]) -> list[str]:
        return sorted(set(agents) & self._tables.agents.keys())

    def hold(self, agent: str) -> tuple[str, bool] | None:
        row = self._tables.agents.get(agent)
        return None if row is None else (row.format, row.revoked_at is not None)

    def has_lease_key(self, lease_key: bytes) -> bool:
        return any(row.lease_key == lease_key for row in self._tables.agents.values())

    def revoke(self, agent: str) -> None:
        now = self._now()
        if (row := self._tables.agents.get(agent)) is not None:
            row.revoked_at = row.revoked_at or now
        for certificate in self._tables.certificates.values():
            if certificate.agent == agent:
                certificate.revoked_at = certificate.revoked_at or now

    def uncut(self) -> list[str]:
        return sorted(
            agent
            for agent, row in self._tables.agents.items()
            if row.revoked_at is not None and row.cut_at is None
        )

    def note_cut(self, agents: Sequence[str]) -> None:
        for agent in self.hold_all(agents):
            row = self._tables.agents[agent]
            row.cut_at = row.cut_at or self._now()

    def owners_of(self, serials: Iterable[int]) -> list[str]:
        known = self._tables.certificates
        return sorted({known[serial].agent for serial in serials if serial in known})

    def revocations(self) -> list[tuple[int, dt.datetime]]:
        return sorted(
            (serial, row.revoked_at)
            for serial, row in self._tables.certificates.items()
            if row.revoked_at is not None
        )

    def note_clone_sign(self, agent: str, kind: str) -> None:
        self._tables.clone_signs[agent, kind] = False

    def vouch(self, agent: str) -> int:
        signs = self._tables.clone_signs
        unseen = [sign for sign, is_seen in signs.items() if sign[0] == agent and not is_seen]
        signs.update(dict.fromkeys(unseen, True))
        return len(unseen)

    def page(self, *, after: str, limit: int) -> list[ListedAgent]:
        names = sorted(agent for agent in self._tables.agents if agent > after)[:limit]
        return [self._listed(agent) for agent in names]

    def _listed(self, agent: str) -> ListedAgent:
        row, signs = self._tables.agents[agent], self._tables.clone_signs.items()
        certificates = self._tables.certificates.values()
        return ListedAgent(
            agent,
            row.format,
            row.enrolled_at,
            row.revoked_at,
            row.lease_version,
            row.lease_not_after,
            max((c.not_after for c in certificates if c.agent == agent), default=None),
            sorted(kind for (of, kind), is_seen in signs if of == agent and not is_seen),
            row.revoked_at is not None and row.cut_at is None,
        )
