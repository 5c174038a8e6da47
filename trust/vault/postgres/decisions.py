"""Decisions of people, in PostgreSQL."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from runtime.database import named_sql
from trust.decisions.decisions import Decision
from trust.vault.records.decisions import (
    Chain,
    Decisions,
    SignedDocument,
    sign_decision,
    verified_chain,
)
from trust.vault.repository import Repository


class PostgresDecisions(Repository, Decisions):
    """The statements of decisions.sql."""

    _sql = named_sql.read("trust.vault", "decisions.sql")

    def lock_chain(self, subject: UUID, purpose: str) -> None:
        self._fetch("lock_chain", f"{subject}/{purpose}")

    def add(self, decision: Decision) -> None:
        document, signature = sign_decision(decision, self._keys)
        self._run(
            "add_decision",
            decision.decision,
            decision.subject,
            decision.purpose,
            decision.version,
            decision.supersedes,
            document,
            self._keys.key_id,
            signature,
        )

    def chain(self, subject: UUID, purpose: str) -> list[Decision]:
        return self.verified_chain(
            (subject, purpose), self._fetch_signed("chain", subject, purpose)
        )

    def signed_of_agents(self, agents: Sequence[str]) -> dict[Chain, list[SignedDocument]]:
        found: dict[Chain, list[SignedDocument]] = {}
        rows = self._fetch("signed_of_agents", list(agents))
        for subject, purpose, document, signature in rows:
            found.setdefault((subject, purpose), []).append((bytes(document), bytes(signature)))
        return found

    def verified_chain(self, chain: Chain, signed: Iterable[SignedDocument]) -> list[Decision]:
        return verified_chain(chain, signed, self._keys)

    def signed_of(self, subject: UUID) -> list[SignedDocument]:
        return self._fetch_signed("signed_of", subject)

    def _fetch_signed(self, name: str, *values: Any) -> list[SignedDocument]:
        rows = self._fetch(name, *values)
        return [(bytes(document), bytes(signature)) for document, signature in rows]

    def recorded_at(self, subject: UUID) -> dict[UUID, dt.datetime]:
        return dict(self._fetch("recorded_at", subject))

    def purposes_of(self, subject: UUID) -> list[str]:
        return sorted({purpose for purpose, _ in self.references(subject)})

    def references(self, subject: UUID) -> list[tuple[str, int]]:
        return [(purpose, version) for purpose, version in self._fetch("references", subject)]

    def purposes_with_handles(self, subject: UUID) -> list[str]:
        rows = self._fetch("purposes_with_handles", subject, subject)
        return [purpose for (purpose,) in rows]

    def restricted(self) -> list[tuple[UUID, str]]:
        return [(subject, purpose) for subject, purpose in self._fetch("restricted")]

    def last_position(self) -> int:
        return int(self._fetch("last_position")[0][0])

    def count(self) -> int:
        return int(self._fetch("count")[0][0])

    def chain_lengths_after(self, position: int) -> dict[Chain, int]:
        return {(who, what): n for who, what, n in self._fetch("chain_lengths_after", position)}

    def chain_lengths(self, *, after: UUID, limit: int) -> dict[Chain, int]:
        return {(who, what): n for who, what, n in self._fetch("chain_lengths", after, limit)}
