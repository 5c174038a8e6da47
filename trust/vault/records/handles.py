"""Handles: what stands for a person at a gateway, with the sensors that are bound to them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from trust.domain import subjects
from trust.ports import Keys


class Handle(msgspec.Struct, frozen=True):
    """A handle that has not ended."""

    handle: bytes
    subject: UUID
    agent: str
    purpose: str
    decision: UUID
    bindings: list[str]
    key_epoch: int = 1

    def __repr__(self) -> str:
        return "Handle(…)"


class SealedHandle(msgspec.Struct, frozen=True):
    """A handle that has not ended, as its row holds it."""

    handle: bytes
    subject: UUID
    agent: str
    purpose: str
    decision: UUID
    sealed_bindings: bytes
    key_epoch: int
    wrapped_key: bytes

    def __repr__(self) -> str:
        return "SealedHandle(…)"


def issued_for(agent: str, purpose: str, decision: UUID) -> bytes:
    """Return what the bindings of a handle are sealed for, besides the handle."""
    return decision.bytes + agent.encode() + b"/" + purpose.encode()


def open_handle(sealed: SealedHandle, keys: Keys) -> Handle:
    """
    Return *sealed* with its bindings.

    Raises:
        Tampered: They do not open.
    """
    data_key = keys.unwrap(sealed.wrapped_key, bound_to=sealed.subject.bytes)
    bindings = subjects.open_bindings(
        sealed.sealed_bindings,
        handle=sealed.handle,
        issued_for=issued_for(sealed.agent, sealed.purpose, sealed.decision),
        data_key=data_key,
    )
    return Handle(
        sealed.handle,
        sealed.subject,
        sealed.agent,
        sealed.purpose,
        sealed.decision,
        bindings,
        sealed.key_epoch,
    )


class Handles(Protocol):
    """Handles: the opaque stand-ins of a subject at a gateway."""

    def add(self, handle: Handle, *, data_key: bytes) -> None:
        """Keep *handle*, its bindings sealed under its subject's data key."""
        ...

    def sealed_at(self, agents: Sequence[str]) -> list[SealedHandle]:
        """Return the handles of *agents* that have not ended; their bindings are not opened."""
        ...

    def open(self, sealed: SealedHandle) -> Handle:
        """
        Return *sealed* with its bindings.

        Raises:
            Tampered: They do not open.
        """
        ...

    def lease_load(self, agent: str) -> tuple[int, int]:
        """Return how many handles of *agent* have not ended, and how long their bindings are."""
        ...

    def live_at(self, agent: str) -> list[bytes]:
        """Return the handles of *agent* that have not ended."""
        ...

    def agents_of(self, subject: UUID, purpose: str) -> list[str]:
        """Return the agents at which *subject* is measured for *purpose*."""
        ...

    def end(self, subject: UUID, purpose: str, *, agent: str | None = None) -> None:
        """End the handles of *subject* for *purpose*: all, or that at *agent*."""
        ...

    def end_at(self, agent: str) -> None:
        """End every handle at *agent*."""
        ...

    def of(self, subject: UUID, purpose: str | None) -> list[tuple[bytes, str, str, int]]:
        """Return every handle there was: itself, agent, purpose, key epoch."""
        ...

    def all(self) -> list[tuple[bytes, UUID, str]]:
        """Return every handle there is: itself, its subject, its purpose."""
        ...

    def delete_of(self, subject: UUID, purpose: str | None) -> int:
        """Delete the handles of *subject*; return how many."""
        ...

    def delete(self, handles: Iterable[bytes]) -> int:
        """Delete *handles*; return how many were there."""
        ...

    def count_by_epoch(self, purpose: str) -> dict[int, int]:
        """Return how many handles that have not ended are in each epoch."""
        ...

    def agents_below_epoch(self, purpose: str, epoch: int, *, limit: int) -> list[str]:
        """Return agents with a handle in an epoch before *epoch*."""
        ...

    def move_to_epoch(self, purpose: str, epoch: int, *, agents: Sequence[str]) -> int:
        """Move the handles at *agents* to *epoch*; return how many."""
        ...

    def subjects_of_purpose(self, purpose: str) -> Iterator[UUID]:
        """Yield everybody who ever had a handle for *purpose*."""
        ...
