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
        """Keep other transactions from deciding for this chain until this one ends."""
        ...

    def add(self, decision: Decision) -> None:
        """Sign and append *decision*."""
        ...

    def chain(self, subject: UUID, purpose: str) -> list[Decision]:
        """
        Return the decisions of *subject* for *purpose*, in their order.

        Raises:
            Tampered: One is not as it was signed, or the chain is broken.
        """
        ...

    def signed_of_agents(self, agents: Sequence[str]) -> dict[Chain, list[SignedDocument]]:
        """Return the chains that live handles of *agents* rest on; nothing is verified."""
        ...

    def verified_chain(self, chain: Chain, signed: Iterable[SignedDocument]) -> list[Decision]:
        """
        Return the decisions of *chain* that *signed* holds, in their order.

        Raises:
            Tampered: One is not as it was signed, or the chain is broken.
        """
        ...

    def signed_of(self, subject: UUID) -> list[SignedDocument]:
        """Return document and signature of each decision of *subject*, purpose by purpose."""
        ...

    def recorded_at(self, subject: UUID) -> dict[UUID, dt.datetime]:
        """Return when each decision of *subject* was recorded, by decision."""
        ...

    def purposes_of(self, subject: UUID) -> list[str]:
        """Return the names of the purposes that *subject* decided on."""
        ...

    def references(self, subject: UUID) -> list[tuple[str, int]]:
        """Return name and version of each policy that a decision of *subject* names."""
        ...

    def purposes_with_handles(self, subject: UUID) -> list[str]:
        """Return the purposes that *subject* ever decided on or has a handle for."""
        ...

    def restricted(self) -> list[tuple[UUID, str]]:
        """Return every chain that is or was restricted."""
        ...

    def last_position(self) -> int:
        """Return the position of the newest decision; 0 if there is none."""
        ...

    def count(self) -> int:
        """Return how many decisions there are."""
        ...

    def chain_lengths_after(self, position: int) -> dict[Chain, int]:
        """Return the length of each chain that has a decision after *position*."""
        ...

    def chain_lengths(self, *, after: UUID, limit: int) -> dict[Chain, int]:
        """
        Return the chain length of the next *limit* subjects above *after*, for every purpose.

        A chain without a decision has length 0: all of them may have been deleted.
        """
        ...
