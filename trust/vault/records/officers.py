"""Officers, and their requests to re-identify pseudonyms."""

import datetime as dt
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from trust.domain import canonical
from trust.domain.reidentify import Known, Officer, Signed
from trust.ports import Keys

_KIND: Final = "officer"


def sign_officer(officer: Officer, keys: Keys) -> Signed:
    """Return the signed record of *officer*, as the vault keeps it."""
    document = canonical.encode(officer)
    return Signed(document, keys.sign(canonical.to_sign(_KIND, document)))


def verified_officer(signed: Signed, keys: Keys) -> Officer:
    """
    Return the officer whose record *signed* holds.

    Raises:
        Tampered: The record is not as it was signed.
    """
    what = "an officer"
    keys.verify(signed.signature, canonical.to_sign(_KIND, signed.document), what=what)
    return canonical.decode(signed.document, Officer, what=what)


class Officers(Protocol):
    """Repository of officers, who request re-identifications or approve them."""

    def add(self, officer: Officer) -> None:
        """
        Sign and add *officer*.

        Raises:
            Conflict: Another officer has that key; each officer needs their own key.
        """
        ...

    def all(self) -> dict[UUID, Known]:
        """
        Return all present and former officers, by id, in the order they were added.

        Raises:
            Tampered: A record is not as it was signed.
        """
        ...

    def end(self, officer: UUID) -> None:
        """
        End the office of *officer*.

        Raises:
            NotFound: There is no such officer in office.
        """
        ...


class ReidentificationAttempt(NamedTuple):
    """What was tried with a request to re-identify, by whom, and what became of it."""

    request: UUID | None
    officer: UUID | None
    action: str
    outcome: str
    at: dt.datetime


class Reidentifications(Protocol):
    """Repository of requests to re-identify, their approvals, and every attempt."""

    def add(self, request: UUID, requester: UUID, signed: Signed) -> None:
        """Add a request, as *requester* signed it."""
        ...

    def get(self, request: UUID) -> tuple[Signed, dt.datetime | None] | None:
        """Lock *request* until the transaction ends; return it, and when it was opened."""
        ...

    def requested_since(self, requester: UUID, since: dt.datetime) -> int:
        """Return how many requests *requester* has made after *since*."""
        ...

    def open(self, request: UUID) -> bool:
        """Mark *request* as opened; return False if it was opened before."""
        ...

    def add_approval(self, request: UUID, approver: UUID, signed: Signed) -> None:
        """Add an approval, as *approver* signed it."""
        ...

    def approvals(self, request: UUID) -> list[Signed]:
        """Return the approvals of *request*, in the order they were given."""
        ...

    def add_attempt(
        self, *, request: UUID | None, officer: UUID | None, action: str, outcome: str
    ) -> None:
        """Record that *action* was tried, and its outcome."""
        ...

    def attempts(self, *, limit: int) -> list[ReidentificationAttempt]:
        """Return the latest attempts, newest first."""
        ...
