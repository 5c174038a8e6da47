"""Requests of people under their rights (GDPR, chapter III), and files exported for them."""

import datetime as dt
from typing import Protocol
from uuid import UUID

import msgspec

from trust.domain.due_dates import RequestOutcome, RightsRequest


class ExportRecord(msgspec.Struct, frozen=True):
    """A file that holds a person's data, ready to be handed over."""

    export: UUID
    subject: UUID
    request: UUID | None
    file: str
    sha256: bytes
    observations: int
    expires_at: dt.datetime


class ListedExport(msgspec.Struct, frozen=True):
    """An export in a list, with when it was made and deleted."""

    record: ExportRecord
    made_at: dt.datetime
    deleted_at: dt.datetime | None


class Requests(Protocol):
    """Repository of requests of people under their rights, and when each answer is due."""

    def add(self, request: RightsRequest) -> None:
        """Add *request*."""
        ...

    def get(self, request: UUID) -> RightsRequest:
        """
        Lock a request until the transaction ends, and return it.

        Raises:
            NotFound: There is no such request.
        """
        ...

    def all(self, *, with_closed: bool) -> list[RightsRequest]:
        """Return the open requests, or also closed ones; the one due first comes first."""
        ...

    def ids(self, *, with_closed: bool) -> list[UUID]:
        """Return the ids of the same requests as `all`, in the same order."""
        ...

    def extend(self, request: RightsRequest) -> None:
        """Record the later due date of *request*, and the reason for it."""
        ...

    def close(self, request: UUID, outcome: RequestOutcome) -> None:
        """
        Close *request*, and record its outcome.

        Raises:
            Conflict: The request is closed, or does not exist.
        """
        ...


class Exports(Protocol):
    """Repository of the files that hold a person's data, until they are deleted."""

    def add(self, made: ExportRecord) -> None:
        """Record that a file holds a person's data, and until when."""
        ...

    def listed(self, *, subject: UUID | None, with_deleted: bool) -> list[ListedExport]:
        """Return the exports, of *subject* if that is not None, the oldest first."""
        ...

    def expired(self, *, at: dt.datetime) -> list[tuple[UUID, str]]:
        """Return id and file of each export that has expired and is not deleted yet."""
        ...

    def of(self, subject: UUID) -> list[tuple[UUID, str]]:
        """Return id and file of each export of *subject* that is not deleted yet."""
        ...

    def mark_deleted(self, export: UUID) -> None:
        """Record that the file of *export* is deleted."""
        ...
