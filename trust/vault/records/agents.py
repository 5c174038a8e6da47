"""Gateways: how each speaks, its certificates, and whether it is revoked."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec


class Agent(msgspec.Struct, frozen=True):
    """A gateway, as the vault knows it."""

    agent: str
    format: str
    lease_key: bytes | None
    revoked_at: dt.datetime | None
    wanted: int
    applied: int
    lease_version: int
    due_at: dt.datetime | None
    certified_until: dt.datetime | None = None
    """When the last of its certificates ends."""
    reads_padded: bool = False
    """Whether it is known to read padded leases."""

    @property
    def registered(self) -> bytes:
        """What never changes of it: how it speaks, and what its leases are sealed to."""
        return self.format.encode() + b"/" + (self.lease_key or b"")


class Agents(Protocol):
    """Gateways: how they speak, their certificates, and which are revoked."""

    def add(self, agent: str, *, sealed: bool, lease_key: bytes | None) -> None:
        """Register *agent*."""
        ...

    def add_certificate(self, agent: str, serial: int, *, not_after: dt.datetime) -> None:
        """Register a certificate of *agent*."""
        ...

    def add_all(self, agents: Sequence[tuple[str, bytes | None]]) -> None:
        """Register *agents*, each with its lease key; without one it speaks JSON."""
        ...

    def add_certificates(self, issued: Sequence[tuple[int, str, dt.datetime]]) -> None:
        """Register certificates: serial number, agent and end of each."""
        ...

    def lock(self, agents: Iterable[str]) -> list[Agent]:
        """Return those of *agents* that there are; nobody else changes them until the end."""
        ...

    def hold_all(self, agents: Sequence[str]) -> list[str]:
        """Let nobody else change *agents* until the end; return those that there are."""
        ...

    def hold(self, agent: str) -> tuple[str, bool] | None:
        """Hold *agent* likewise; return how it speaks, and whether it is revoked."""
        ...

    def has_lease_key(self, lease_key: bytes) -> bool:
        """Tell whether an agent has *lease_key*; none other gets it until the end."""
        ...

    def revoke(self, agent: str) -> None:
        """Note that *agent* and its certificates are not to be trusted any more."""
        ...

    def uncut(self) -> list[str]:
        """Return all revoked agents whose connection was not ended yet."""
        ...

    def note_cut(self, agents: Sequence[str]) -> None:
        """Note that the broker keeps *agents* out, and that none of them is connected."""
        ...

    def owners_of(self, serials: Iterable[int]) -> list[str]:
        """Return the agents that the certificates *serials* are of, as far as they are known."""
        ...

    def revocations(self) -> list[tuple[int, dt.datetime]]:
        """Return the serial number of each revoked certificate, and when it was."""
        ...

    def note_clone_sign(self, agent: str, kind: str) -> None:
        """Note a sign that two gateways use the identity of *agent*."""
        ...

    def vouch(self, agent: str) -> int:
        """Note that an operator has looked at the signs of *agent*; return how many there were."""
        ...

    def page(self, *, after: str, limit: int) -> list[tuple[Any, ...]]:
        """Return agents whose id is above *after*, for a list."""
        ...
