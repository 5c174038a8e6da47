"""What people asked for under their rights, and the files that they were given."""

import datetime as dt
from typing import Protocol
from uuid import UUID

import msgspec

from trust.domain.due_dates import RequestOutcome, RightsRequest


class ExportRecord(msgspec.Struct, frozen=True):
    """An export that lies ready for a person."""

    export: UUID
    subject: UUID
    request: UUID | None
    file: str
    sha256: bytes
    observations: int
    expires_at: dt.datetime


class Requests(Protocol):
    """What people asked for under their rights, and when an answer is due."""

    def add(self, request: RightsRequest) -> None:
        """Keep *request*."""
        ...

    def get(self, request: UUID) -> RightsRequest:
        """
        Return a request; nobody else changes it until the transaction ends.

        Raises:
            NotFound: There is none.
        """
        ...

    def all(self, *, with_closed: bool) -> list[RightsRequest]:
        """Return the requests, the one due first at first."""
        ...

    def ids(self, *, with_closed: bool) -> list[UUID]:
        """Return the ids of the requests, the one due first at first."""
        ...

    def extend(self, request: RightsRequest) -> None:
        """Keep the new due date of *request*, and why."""
        ...

    def close(self, request: UUID, outcome: RequestOutcome) -> None:
        """
        Note what came of *request*.

        Raises:
            Conflict: It is closed, or not there.
        """
        ...


class Exports(Protocol):
    """Files that hold a person's data, until they are deleted."""

    def add(self, made: ExportRecord) -> None:
        """Note that a person's data lie in a file, and until when."""
        ...

    def expired(self, *, at: dt.datetime) -> list[tuple[UUID, str]]:
        """Return exports whose time is over and whose file was not deleted yet."""
        ...

    def of(self, subject: UUID) -> list[tuple[UUID, str]]:
        """Return the exports of *subject* that are not deleted yet."""
        ...

    def mark_deleted(self, export: UUID) -> None:
        """Note that the file of *export* is gone."""
        ...
