"""Ends the permissions of a person, even if their decisions cannot be read or written."""

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
    Return the result of *record*, or the cause for which this person's records are unusable.

    The records do not verify, a later release wrote them, or the database refuses a row.

    Args:
        record: Records one decision, in its own transaction.

    Raises:
        Refused: The decision itself is not possible; nothing was recorded.
        Unavailable: A server does not answer, for a reason unrelated to this person.
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
