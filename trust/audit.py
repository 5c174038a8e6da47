"""
Audit: whether every decision that was ever recorded is still there, and as it was signed.

What the vault has is told to the telemetry database, which remembers it (`trust.witness`). What
that remembers and the vault has no more was deleted, or lost in a restore.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

import msgspec

from trust.errors import Tampered
from trust.vault import Vault
from trust.witness import Chain, Witness

_PAGE: Final = 2000
_LATE: Final = 1000
"""How far below the highest position a decision may be committed after it."""


class Found(msgspec.Struct, frozen=True):
    """What an audit found."""

    decisions: int
    missing: int
    """That were there once; also of people whom the vault does not know any more."""
    cut: dict[Chain, int]
    """How many are missing of whom, as far as that can be told."""


class Audit:
    """
    Compares the vault with what is remembered of it.

    Args:
        vault: With the decisions.

        witness: What remembers them.
    """

    def __init__(self, vault: Vault, witness: Witness) -> None:
        self._vault = vault
        self._witness = witness
        self._position = 0

    def note(self) -> None:
        """
        Have what was decided lately remembered; what this misses, `look` does not.

        Raises:
            Unavailable: Do it again later.
        """
        with self._vault.transaction() as records:
            last = records.journal.last_position()
            after = max(self._position, last - _PAGE) - _LATE
            chains = records.journal.chains_after(after)
        self._witness.note(chains)
        self._position = last

    def look(self) -> Found:
        """
        Have every decision remembered, and return what is remembered and not there.

        Raises:
            Unavailable: Do it again later.
        """
        cut: dict[Chain, int] = {}
        for chains in self._pages():
            self._witness.note(chains)
            for chain in self._witness.cut(chains):
                cut[chain] = self._witness.missing(chain, chains[chain])
        # In this order: what is decided meanwhile is no more than not noticed yet.
        remembered = self._witness.count()
        with self._vault.transaction() as records:
            decisions = records.journal.count_decisions()
        missing = max(remembered - decisions, sum(cut.values()), 0)
        return Found(decisions, missing, cut)

    def unverified(self) -> tuple[list[Chain], bool]:
        """Return the chains that are not as they were signed, and whether the policies are."""
        broken = []
        for chains in self._pages():
            for chain, length in chains.items():
                if length and not self._verifies(chain):
                    broken.append(chain)
        with self._vault.transaction() as records:
            try:
                records.purposes()
            except Tampered:
                return broken, False
        return broken, True

    def _verifies(self, chain: Chain) -> bool:
        with self._vault.transaction() as records:
            try:
                records.decisions(*chain)
            except Tampered:
                return False
        return True

    def _pages(self) -> Iterator[Mapping[Chain, int]]:
        """Yield every subject with every purpose, and how many decisions there are of it."""
        after = UUID(int=0)
        while True:
            with self._vault.transaction() as records:
                chains = records.journal.chains(after=after, limit=_PAGE)
            if not chains:
                return
            yield chains
            after = max(subject for subject, _ in chains)
