"""Officers, and what they asked to re-identify."""

import datetime as dt
from typing import Any, Final, Protocol
from uuid import UUID

from trust.domain import canonical
from trust.domain.reidentify import Known, Officer, Signed
from trust.ports import Keys

_KIND: Final = "officer"


def sign_officer(officer: Officer, keys: Keys) -> Signed:
    """Return *officer* as the vault keeps them."""
    document = canonical.encode(officer)
    return Signed(document, keys.sign(canonical.to_sign(_KIND, document)))


def verified_officer(signed: Signed, keys: Keys) -> Officer:
    """
    Return the officer that *signed* holds.

    Raises:
        Tampered: They are not as they were signed.
    """
    what = "an officer"
    keys.verify(signed.signature, canonical.to_sign(_KIND, signed.document), what=what)
    return canonical.decode(signed.document, Officer, what=what)


class Officers(Protocol):
    """Officers: who may re-identify, and who approves."""

    def add(self, officer: Officer) -> None:
        """
        Keep *officer*, signed.

        Raises:
            Conflict: Somebody has that key already: one person is one key.
        """
        ...

    def all(self) -> dict[UUID, Known]:
        """
        Return everybody who is or was an officer.

        Raises:
            Tampered: One is not as she was signed.
        """
        ...

    def end(self, officer: UUID) -> None:
        """
        Note that *officer* is one no more.

        Raises:
            NotFound: There is no such officer.
        """
        ...


class Reidentifications(Protocol):
    """Requests to re-identify, their approvals, and every attempt."""

    def add(self, request: UUID, requester: UUID, signed: Signed) -> None:
        """Keep a request, as it was signed."""
        ...

    def get(self, request: UUID) -> tuple[Signed, dt.datetime | None] | None:
        """Return a request, and when it was opened; nobody else opens it until the end."""
        ...

    def requested_since(self, requester: UUID, since: dt.datetime) -> int:
        """Return how often *requester* has asked *since* a time."""
        ...

    def open(self, request: UUID) -> bool:
        """Note that *request* is opened; return whether it was not before."""
        ...

    def add_approval(self, request: UUID, approver: UUID, signed: Signed) -> None:
        """Keep an approval, as it was signed."""
        ...

    def approvals(self, request: UUID) -> list[Signed]:
        """Return the approvals of *request*."""
        ...

    def add_attempt(
        self, *, request: UUID | None, officer: UUID | None, action: str, outcome: str
    ) -> None:
        """Put on record that something was tried, and what came of it."""
        ...

    def attempts(self, *, limit: int) -> list[tuple[Any, ...]]:
        """Return the latest attempts, the last one first."""
        ...
