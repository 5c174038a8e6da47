"""
Witnesses: short records, outside the vault, that decisions and gateways exist.

The decisions of one person for one purpose form a chain, in which each names the previous one. The
vault alone cannot prove that the last decision is the last. So the telemetry database keeps a
witness of 16 bytes for each decision: an attacker who can write to one of the two databases cannot
remove a decision unnoticed. A witness covers the place in the chain and not the content, so a
decision that a restore lost can be entered again.

The lease of a gateway is sealed to the key that the gateway was registered with. An attacker who
replaced that key could read whose sensors the gateway listens to. So the first registration that
was seen has a witness, too.
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
"""The name of a purpose, and the number of a version."""


class Witness:
    """
    The witnesses in the telemetry database. Not safe to share between threads.

    Args:
        link: The connection to the telemetry database.

        key: The secret key, without which no one can make a witness or tell whose witness it is.
    """

    def __init__(self, link: DatabaseLink, key: bytes) -> None:
        self._link = link
        self._key = key

    def _of(self, chain: Chain, place: int) -> bytes:
        subject, purpose = chain
        fields = subject.bytes + place.to_bytes(4, "big") + purpose.encode()
        return hmac.digest(self._key, _LABEL + fields, "sha256")[:16]

    def note(self, chains: Mapping[Chain, int]) -> None:
        """Store witnesses for *chains*, each with its number of committed decisions."""
        found = [self._of(c, n) for c, length in chains.items() for n in range(1, length + 1)]
        self._note(found, "decision")

    def cut(self, chains: Mapping[Chain, int]) -> set[Chain]:
        """Return the *chains* that have a witness of more decisions than the given number."""
        next_ones = {self._of(chain, length + 1): chain for chain, length in chains.items()}
        return {next_ones[witness] for witness in self._known(next_ones)}

    def missing(self, chain: Chain, length: int) -> int:
        """Return how many decisions after the first *length* of *chain* have a witness."""
        after = [self._of(chain, length + n) for n in range(1, _MOST_ASKED + 1)]
        known = self._known(after)
        return next((n for n, witness in enumerate(after) if witness not in known), len(after))

    def exchanged(self, agents: Mapping[str, bytes]) -> set[str]:
        """
        Return the *agents* whose registration differs from the one that was first seen.

        Args:
            agents: The registration of each agent, which must never change, by agent id.
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
        """Store a witness that the admission of each version in *admitted* was on record."""
        self._note([self._policy(version) for version in admitted], "policy")

    def known_policies(self, versions: Iterable[Version]) -> set[Version]:
        """Return the *versions* that have a witness of their admission."""
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
        """Return the number of witnesses of *kind*, by default of decisions."""
        with self._link.transaction() as connection:
            row = connection.execute(_SQL["count"], [kind]).fetchone()
            assert row is not None  # noqa: S101 - a count is one row
            return int(row[0])
