"""Decisions of people, in memory."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import DecisionRow, require
from trust.decisions.decisions import Decision
from trust.vault.records.decisions import (
    Chain,
    Decisions,
    SignedDocument,
    sign_decision,
    verified_chain,
)


class MemoryDecisions(MemoryRepository, Decisions):
    """Decisions of people, in memory."""

    def lock_chain(self, subject: UUID, purpose: str) -> None:
        """Do nothing: only one transaction runs at a time."""

    def add(self, decision: Decision) -> None:
        rows = self._tables.decisions
        document, signature = sign_decision(decision, self._keys)
        row = DecisionRow(
            decision.decision,
            decision.subject,
            decision.purpose,
            decision.version,
            decision.supersedes,
            document,
            signature,
            self._now(),
        )
        known = {other.decision for other in rows}
        require(row.subject in self._tables.subjects, "decisions_subject_fkey")
        version = (row.purpose, row.version)
        require(version in self._tables.purposes, "decisions_purpose_version_fkey")
        require(row.decision not in known, "decisions_pkey")
        require(row.supersedes in {None, *known}, "decisions_supersedes_fkey")
        fork = (row.subject, row.purpose, row.supersedes)
        forks = {(other.subject, other.purpose, other.supersedes) for other in rows}
        require(fork not in forks, "decisions_subject_purpose_supersedes_key")
        rows.append(row)

    def chain(self, subject: UUID, purpose: str) -> list[Decision]:
        chain = (subject, purpose)
        return self.verified_chain(chain, self._signed({chain}).get(chain, []))

    def signed_of_agents(self, agents: Sequence[str]) -> dict[Chain, list[SignedDocument]]:
        return self._signed(
            {
                (row.subject, row.purpose)
                for row in self._tables.handles.values()
                if row.agent in agents and row.ended_at is None
            }
        )

    def _signed(self, chains: set[Chain]) -> dict[Chain, list[SignedDocument]]:
        found: dict[Chain, list[SignedDocument]] = {}
        for row in self._tables.decisions:
            chain = (row.subject, row.purpose)
            if chain in chains:
                self._tables.read(row.subject)
                found.setdefault(chain, []).append((row.document, row.signature))
        return found

    def verified_chain(self, chain: Chain, signed: Iterable[SignedDocument]) -> list[Decision]:
        return verified_chain(chain, signed, self._keys)

    def signed_of(self, subject: UUID) -> list[SignedDocument]:
        rows = sorted(self._of(subject), key=lambda row: row.purpose)
        return [(row.document, row.signature) for row in rows]

    def recorded_at(self, subject: UUID) -> dict[UUID, dt.datetime]:
        return {row.decision: row.recorded_at for row in self._of(subject)}

    def purposes_of(self, subject: UUID) -> list[str]:
        return sorted({row.purpose for row in self._of(subject)})

    def references(self, subject: UUID) -> list[tuple[str, int]]:
        return sorted({(row.purpose, row.version) for row in self._of(subject)})

    def purposes_with_handles(self, subject: UUID) -> list[str]:
        handles = [row for row in self._tables.handles.values() if row.subject == subject]
        return sorted({*self.purposes_of(subject), *(row.purpose for row in handles)})

    def restricted(self) -> list[tuple[UUID, str]]:
        return sorted(
            {
                (row.subject, row.purpose)
                for row in self._tables.decisions
                if b'"state":"restricted"' in row.document
            }
        )

    def last_position(self) -> int:
        return len(self._tables.decisions)

    def count(self) -> int:
        return len(self._tables.decisions)

    def chain_lengths_after(self, position: int) -> dict[Chain, int]:
        later = {(row.subject, row.purpose) for row in self._tables.decisions[position:]}
        return {chain: length for chain, length in self._lengths().items() if chain in later}

    def chain_lengths(self, *, after: UUID, limit: int) -> dict[Chain, int]:
        lengths = self._lengths()
        subjects = sorted(s for s in self._tables.subjects if s > after)[:limit]
        purposes = {name for name, _ in self._tables.purposes}
        return {(s, purpose): lengths[s, purpose] for s in subjects for purpose in purposes}

    def _lengths(self) -> Counter[Chain]:
        return Counter((row.subject, row.purpose) for row in self._tables.decisions)

    def _of(self, subject: UUID) -> list[DecisionRow]:
        return [row for row in self._tables.decisions if row.subject == subject]
