"""Ending what a person permits, also where their decisions can be neither read nor written."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from trust.domain.units import Cause, UnitKind
from trust.errors import Refused
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault

T = TypeVar("T")


def end_handles(vault: Vault, subject: UUID, purpose: str) -> list[str]:
    """
    End all handles of *subject* for *purpose* without reading a decision.

    Returns:
        The agents that have to be reconciled.
    """
    with vault.transaction() as records:
        records.decisions.lock_chain(subject, purpose)
        agents = records.handles.agents_of(subject, purpose)
        records.agents.hold_all(agents)
        records.handles.end(subject, purpose)
        records.leases.mark_stale(agents)
    return agents


def unless_damaged(record: Callable[[], T]) -> T | Cause:
    """
    Return what *record* returns, or why the records of this person cannot be used.

    They do not verify, a later release wrote them, or the database refuses a row of them.

    Args:
        record: Records one decision, in a transaction of its own.

    Raises:
        Refused: The decision itself cannot be; nothing was recorded.
        Unavailable: A server is away, which says nothing about this person.
    """

    def attempted() -> T | Refused:
        try:
            return record()
        except Refused as exc:
            return exc

    recorded = attempt(attempted, kind=UnitKind.PERSON)
    if isinstance(recorded, Refused):
        raise recorded
    return recorded
