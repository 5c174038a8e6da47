"""Handles: opaque stand-ins for a person at a gateway, with the sensors bound to the person."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from trust.domain import subjects
from trust.ports import Keys


class Handle(msgspec.Struct, frozen=True):
    """A live handle, with its opened bindings."""

    handle: bytes
    subject: UUID
    agent: str
    purpose: str
    decision: UUID
    bindings: list[str]
    """The sensors that are bound; empty once they were unbound."""
    key_epoch: int = 1
    unbound: list[str] = []
    """The sensors that were bound until `unbound_at`."""
    unbound_at: dt.datetime | None = None

    def __repr__(self) -> str:
        return "Handle(…)"


class SealedHandle(msgspec.Struct, frozen=True):
    """The row of a live handle, with its sealed bindings."""

    handle: bytes
    subject: UUID
    agent: str
    purpose: str
    decision: UUID
    sealed_bindings: bytes
    key_epoch: int
    wrapped_key: bytes
    unbound_at: dt.datetime | None = None
    sealed_unbound: bytes | None = None
    issued_at: dt.datetime | None = None

    def __repr__(self) -> str:
        return "SealedHandle(…)"


class Owner(NamedTuple):
    """Whose a live handle is."""

    handle: bytes
    subject: UUID
    agent: str
    purpose: str


def issued_for(agent: str, purpose: str, decision: UUID) -> bytes:
    """Return the context that, with the handle itself, the bindings of a handle are sealed to."""
    return decision.bytes + agent.encode() + b"/" + purpose.encode()


def open_handle(sealed: SealedHandle, keys: Keys) -> Handle:
    """
    Return *sealed* with its bindings opened.

    Raises:
        Tampered: The bindings cannot be opened.
    """
    data_key = keys.unwrap(sealed.wrapped_key, bound_to=sealed.subject.bytes)
    issued = issued_for(sealed.agent, sealed.purpose, sealed.decision)

    def opened(bindings: bytes) -> list[str]:
        return subjects.open_bindings(
            bindings, handle=sealed.handle, issued_for=issued, data_key=data_key
        )

    return Handle(
        sealed.handle,
        sealed.subject,
        sealed.agent,
        sealed.purpose,
        sealed.decision,
        opened(sealed.sealed_bindings),
        sealed.key_epoch,
        [] if sealed.sealed_unbound is None else opened(sealed.sealed_unbound),
        sealed.unbound_at,
    )


def sealed_without_bindings(handle: Handle, *, data_key: bytes) -> bytes:
    """Return the sealed bindings of *handle* once nothing is bound any more."""
    issued = issued_for(handle.agent, handle.purpose, handle.decision)
    return subjects.seal_bindings([], handle=handle.handle, issued_for=issued, data_key=data_key)


class Handles(Protocol):
    """Repository of handles: the opaque stand-ins of a subject at a gateway."""

    def add(self, handle: Handle, *, data_key: bytes) -> None:
        """Add *handle*, its bindings sealed under the data key of its subject."""
        ...

    def unbind(self, handle: Handle, *, at: dt.datetime, data_key: bytes) -> None:
        """Note that the sensors of *handle* are not bound any more; it stays live."""
        ...

    def sealed_at(self, agents: Sequence[str]) -> list[SealedHandle]:
        """Return the live handles of *agents*, by agent and handle; bindings are not opened."""
        ...

    def sealed(self, handle: bytes) -> SealedHandle | None:
        """Return the live *handle*, its bindings not opened; None if there is none."""
        ...

    def owners_at(self, agents: Sequence[str]) -> list[Owner]:
        """Return whose the live handles of *agents* are, by agent and handle."""
        ...

    def open(self, sealed: SealedHandle) -> Handle:
        """
        Return *sealed* with its bindings opened.

        Raises:
            Tampered: The bindings cannot be opened.
        """
        ...

    def lease_load(self, agent: str) -> tuple[int, int]:
        """Return how many live handles *agent* has, and the bytes of their sealed bindings."""
        ...

    def live_at(self, agent: str) -> list[bytes]:
        """Return the live handles of *agent*."""
        ...

    def agents_of(self, subject: UUID, purpose: str) -> list[str]:
        """Return the agents with a live handle of *subject* for *purpose*."""
        ...

    def end(self, subject: UUID, purpose: str, *, agent: str | None = None) -> None:
        """End the live handles of *subject* for *purpose*: all of them, or those at *agent*."""
        ...

    def end_at(self, agent: str) -> None:
        """End every live handle at *agent*."""
        ...

    def of(self, subject: UUID, purpose: str | None) -> list[tuple[bytes, str, str, int]]:
        """
        Return every handle of *subject*, live or ended.

        Args:
            subject: The person.

            purpose: Only handles of this purpose; None for every purpose.

        Returns:
            For each handle: the handle, agent, purpose and key epoch.
        """
        ...

    def all(self) -> list[tuple[bytes, UUID, str]]:
        """Return every handle, live or ended, each with its subject and purpose."""
        ...

    def delete_of(self, subject: UUID, purpose: str | None) -> int:
        """Delete the handles of *subject* for *purpose*, or all for None; return how many."""
        ...

    def delete(self, handles: Iterable[bytes]) -> int:
        """Delete *handles*; return how many existed."""
        ...

    def count_by_epoch(self, purpose: str) -> dict[int, int]:
        """Return how many live handles of *purpose* each key epoch has."""
        ...

    def agents_below_epoch(self, purpose: str, epoch: int, *, limit: int) -> list[str]:
        """Return agents with a live handle of *purpose* in an epoch before *epoch*."""
        ...

    def move_to_epoch(self, purpose: str, epoch: int, *, agents: Sequence[str]) -> int:
        """Move the live handles of *purpose* at *agents* to *epoch*; return how many."""
        ...

    def subjects_of_purpose(self, purpose: str) -> Iterator[UUID]:
        """Yield every subject who ever had a handle for *purpose*."""
        ...
