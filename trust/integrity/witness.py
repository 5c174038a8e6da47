"""
Witnesses: what decisions and gateways are remembered by outside the vault.

The decisions of one person for one purpose are a chain, and each names the one before it; nothing
in the vault tells that the last of them is the last. So the telemetry database keeps 16 bytes for
each: who may write to one of the two cannot take a decision back unseen. A witness is of the place
in the chain and not of what was decided: what a restore lost can be entered again.

A gateway's lease is sealed to the key that it was registered with. Whoever puts his own in its
place would read there whose sensors it listens to; so the first that was seen is remembered, too.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from runtime.database import named_sql
from trust.vault.database import DatabaseLink

_SQL: Final = named_sql.read("trust.integrity", "witness.sql")
_LABEL: Final = b"vitalveil witness v1\x00"
_AGENT_LABEL: Final = b"vitalveil agent witness v1\x00"
_POLICY_LABEL: Final = b"vitalveil policy witness v1\x00"
_MOST_ASKED: Final = 64

Chain = tuple[UUID, str]
"""A subject, and the name of a purpose."""
Version = tuple[str, int]
"""The name of a purpose, and a version of it."""


class Witness:
    """
    The telemetry database, as far as it remembers decisions. Not safe to share between threads.

    Args:
        link: To it.

        key: Secret: without it nobody can tell of whom a witness is, nor make one.
    """

    def __init__(self, link: DatabaseLink, key: bytes) -> None:
        self._link = link
        self._key = key

    def _of(self, chain: Chain, place: int) -> bytes:
        subject, purpose = chain
        fields = subject.bytes + place.to_bytes(4, "big") + purpose.encode()
        return hmac.digest(self._key, _LABEL + fields, "sha256")[:16]

    def note(self, chains: Mapping[Chain, int]) -> None:
        """Remember *chains*, each with so many decisions; all of them are committed."""
        found = [self._of(c, n) for c, length in chains.items() for n in range(1, length + 1)]
        self._note(found, "decision")

    def cut(self, chains: Mapping[Chain, int]) -> set[Chain]:
        """Return those of *chains* that are known to have had more decisions than so many."""
        next_ones = {self._of(chain, length + 1): chain for chain, length in chains.items()}
        return {next_ones[witness] for witness in self._known(next_ones)}

    def missing(self, chain: Chain, length: int) -> int:
        """Return how many decisions *chain* is known to have had after its first *length*."""
        after = [self._of(chain, length + n) for n in range(1, _MOST_ASKED + 1)]
        known = self._known(after)
        return next((n for n, witness in enumerate(after) if witness not in known), len(after))

    def exchanged(self, agents: Mapping[str, bytes]) -> set[str]:
        """
        Return those of *agents* that were registered otherwise when they were first seen here.

        Args:
            agents: What each is registered with, which never changes.
        """
        first = {name: self._agent(name) for name in agents}
        whole = {name: self._agent(name, registered) for name, registered in agents.items()}
        known = self._known([*first.values(), *whole.values()])
        new = {name for name in agents if first[name] not in known}
        self._note([w for name in new for w in (first[name], whole[name])], "agent")
        return {name for name in agents.keys() - new if whole[name] not in known}

    def _agent(self, agent: str, registered: bytes | None = None) -> bytes:
        fields = agent.encode() + (b"" if registered is None else b"/" + registered)
        return hmac.digest(self._key, _AGENT_LABEL + fields, "sha256")[:16]

    def note_policies(self, admitted: Iterable[Version]) -> None:
        """Remember that it was on record how each of *admitted* came into force."""
        self._note([self._policy(version) for version in admitted], "policy")

    def known_policies(self, versions: Iterable[Version]) -> set[Version]:
        """Return those of *versions* of which it was on record once how they came into force."""
        witnesses = {self._policy(version): version for version in versions}
        return {witnesses[witness] for witness in self._known(witnesses)}

    def _policy(self, version: Version) -> bytes:
        name, number = version
        fields = number.to_bytes(4, "big") + name.encode()
        return hmac.digest(self._key, _POLICY_LABEL + fields, "sha256")[:16]

    def _note(self, witnesses: list[bytes], kind: str) -> None:
        if witnesses:
            with self._link.transaction() as connection:
                connection.execute(_SQL["note"], [witnesses, kind])

    def _known(self, witnesses: Iterable[bytes]) -> set[bytes]:
        wanted = list(witnesses)
        if not wanted:
            return set()
        with self._link.transaction() as connection:
            return {bytes(w) for (w,) in connection.execute(_SQL["known"], [wanted])}

    def count(self, kind: str = "decision") -> int:
        """Return how many decisions are remembered, or how many others of that *kind*."""
        with self._link.transaction() as connection:
            row = connection.execute(_SQL["count"], [kind]).fetchone()
            assert row is not None  # noqa: S101 - a count is one row
            return int(row[0])
