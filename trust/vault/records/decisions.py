"""Decisions of people: signed, and chained for each subject and purpose."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from trust.decisions import decisions
from trust.decisions.decisions import Decision
from trust.domain import canonical
from trust.ports import Keys

Chain = tuple[UUID, str]
"""A subject and a purpose."""
SignedDocument = tuple[bytes, bytes]
"""A document and its signature."""


def sign_decision(decision: Decision, keys: Keys) -> SignedDocument:
    """Return *decision* as the vault keeps it."""
    document = decisions.encode(decision)
    return document, keys.sign(canonical.to_sign(decisions.KIND, document))


def verified_chain(chain: Chain, signed: Iterable[SignedDocument], keys: Keys) -> list[Decision]:
    """
    Return the decisions of *chain* that *signed* holds, in their order.

    Raises:
        Tampered: One is not as it was signed, or the chain is broken.
    """
    subject, purpose = chain
    found = []
    for document, signature in signed:
        to_sign = canonical.to_sign(decisions.KIND, document)
        keys.verify(signature, to_sign, what="a decision")
        found.append(decisions.decode(document))
    return decisions.chain(found, subject=subject, purpose=purpose)


class Decisions(Protocol):
    """Decisions, in a chain for each subject and purpose."""

    def lock_chain(self, subject: UUID, purpose: str) -> None:
        """Let nobody else decide for *subject* and *purpose* until the transaction ends."""
        ...

    def add(self, decision: Decision) -> None:
        """Keep *decision*, signed."""
        ...

    def chain(self, subject: UUID, purpose: str) -> list[Decision]:
        """
        Return the decisions of *subject* for *purpose*, in their order.

        Raises:
            Tampered: One is not as it was signed, or the chain is broken.
        """
        ...

    def signed_of_agents(self, agents: Sequence[str]) -> dict[Chain, list[SignedDocument]]:
        """
        Return what the handles of *agents* rest on: by subject and purpose, in their order.

        Document and signature of each decision; neither is verified.
        """
        ...

    def verified_chain(self, chain: Chain, signed: Iterable[SignedDocument]) -> list[Decision]:
        """
        Return the decisions of *chain*, whose documents and signatures *signed* are.

        Raises:
            Tampered: One is not as it was signed, or the chain is broken.
        """
        ...

    def signed_of(self, subject: UUID) -> list[SignedDocument]:
        """Return document and signature of each decision of *subject*, purpose by purpose."""
        ...

    def recorded_at(self, subject: UUID) -> dict[UUID, dt.datetime]:
        """Return when each decision of *subject* was put on record here."""
        ...

    def purposes_of(self, subject: UUID) -> list[str]:
        """Return the names of the purposes that *subject* decided on."""
        ...

    def references(self, subject: UUID) -> list[tuple[str, int]]:
        """Return name and version of each policy that a decision of *subject* names."""
        ...

    def purposes_with_handles(self, subject: UUID) -> list[str]:
        """Return the purposes that *subject* ever decided about, or has a handle for."""
        ...

    def restricted(self) -> list[tuple[UUID, str]]:
        """Return every subject and purpose that is or was restricted."""
        ...

    def last_position(self) -> int:
        """Return the position of the newest decision of all."""
        ...

    def count(self) -> int:
        """Return how many decisions there are."""
        ...

    def chain_lengths_after(self, position: int) -> dict[Chain, int]:
        """Return, of who has a decision after *position*, how many there are in all."""
        ...

    def chain_lengths(self, *, after: UUID, limit: int) -> dict[Chain, int]:
        """Return how many decisions there are, of *limit* subjects and of every purpose."""
        ...
