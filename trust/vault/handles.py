"""Handles as the vault keeps them: a row whose bindings are sealed, and what it opens to."""

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
