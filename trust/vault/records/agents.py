"""Gateways: the format of their messages, their certificates, and whether they are revoked."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec


class Agent(msgspec.Struct, frozen=True):
    """The row of a gateway, read while it is locked."""

    agent: str
    format: str
    lease_key: bytes | None
    revoked_at: dt.datetime | None
    wanted: int
    applied: int
    lease_version: int
    due_at: dt.datetime | None
    certified_until: dt.datetime | None = None
    """The end of the last certificate that is not revoked; None if there is none."""
    reads_padded: bool = False
    """Whether a message of the gateway has shown that it reads padded leases."""

    @property
    def registered(self) -> bytes:
        """The properties that never change: the format, and the key that leases are sealed to."""
        return self.format.encode() + b"/" + (self.lease_key or b"")


class ListedAgent(NamedTuple):
    """A gateway in a list."""

    agent: str
    format: str
    enrolled_at: dt.datetime
    revoked_at: dt.datetime | None
    lease_version: int
    """Version of the newest lease; 0 for none."""
    lease_ends_at: dt.datetime | None
    certificate_ends_at: dt.datetime | None
    """The end of the certificate that ends last."""
    clone_signs: list[str]
    """Signs of a clone that no operator has examined."""
    may_be_connected: bool
    """Whether it is revoked, and its connection may not have been cut."""


class Agents(Protocol):
    """Repository of gateways and their certificates."""

    def add(self, agent: str, *, sealed: bool, lease_key: bytes | None) -> None:
        """Add *agent*, which sends sealed envelopes, or JSON; one with JSON needs no lease key."""
        ...

    def add_certificate(self, agent: str, serial: int, *, not_after: dt.datetime) -> None:
        """Add a certificate of *agent*."""
        ...

    def add_all(self, agents: Sequence[tuple[str, bytes | None]]) -> None:
        """Add *agents*, each with its lease key; one without a key sends JSON."""
        ...

    def add_certificates(self, issued: Sequence[tuple[int, str, dt.datetime]]) -> None:
        """Add certificates: serial number, agent and end of each."""
        ...

    def lock(self, agents: Iterable[str]) -> list[Agent]:
        """Lock those of *agents* that exist until the transaction ends; return them by id."""
        ...

    def hold_all(self, agents: Sequence[str]) -> list[str]:
        """Lock *agents* as `lock` does; return the ids of those that exist."""
        ...

    def hold(self, agent: str) -> tuple[str, bool] | None:
        """Lock *agent*; return its format and whether it is revoked, None for an unknown one."""
        ...

    def has_lease_key(self, lease_key: bytes) -> bool:
        """Tell whether an agent has *lease_key*; no other gets it until the transaction ends."""
        ...

    def revoke(self, agent: str) -> None:
        """Revoke *agent* and its certificates; an earlier revocation keeps its time."""
        ...

    def uncut(self) -> list[str]:
        """Return the revoked agents whose connection to the broker may not have ended yet."""
        ...

    def note_cut(self, agents: Sequence[str]) -> None:
        """Record that the broker refuses *agents*, and has ended all their connections."""
        ...

    def owners_of(self, serials: Iterable[int]) -> list[str]:
        """Return the agents that own the certificates *serials*; unknown ones are omitted."""
        ...

    def revocations(self) -> list[tuple[int, dt.datetime]]:
        """Return the serial number of each revoked certificate, and when it was revoked."""
        ...

    def note_clone_sign(self, agent: str, kind: str) -> None:
        """Record a sign of this *kind* that two gateways use the identity of *agent*."""
        ...

    def vouch(self, agent: str) -> int:
        """Record that an operator has examined the signs of *agent*; return how many."""
        ...

    def page(self, *, after: str, limit: int) -> list[ListedAgent]:
        """Return the next *limit* agents whose id is above *after*, for a list."""
        ...
