"""Requests of people, and the files that were exported for them, in memory."""

import datetime as dt
from uuid import UUID

import msgspec

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import ExportRow, require
from trust.domain.due_dates import RequestOutcome, RightsRequest
from trust.errors import Conflict, NotFound
from trust.vault.records.requests import ExportRecord, Exports, ListedExport, Requests


class MemoryRequests(MemoryRepository, Requests):
    """Requests of people, in memory."""

    def add(self, request: RightsRequest) -> None:
        require(request.request not in self._tables.requests, "requests_pkey")
        require(request.subject in self._tables.subjects, "requests_subject_fkey")
        self._tables.requests[request.request] = request

    def get(self, request: UUID) -> RightsRequest:
        if request not in self._tables.requests:
            raise NotFound("request", "See `vitalveil trust request list`.")
        return self._tables.requests[request]

    def all(self, *, with_closed: bool) -> list[RightsRequest]:
        found = [r for r in self._tables.requests.values() if with_closed or r.closed_at is None]
        return sorted(found, key=lambda request: (request.due_at, request.request))

    def ids(self, *, with_closed: bool) -> list[UUID]:
        return [request.request for request in self.all(with_closed=with_closed)]

    def extend(self, request: RightsRequest) -> None:
        if request.request in self._tables.requests:
            self._tables.requests[request.request] = msgspec.structs.replace(
                self._tables.requests[request.request],
                due_at=request.due_at,
                extended_because=request.extended_because,
            )

    def close(self, request: UUID, outcome: RequestOutcome) -> None:
        found = self._tables.requests.get(request)
        if found is None or found.closed_at is not None:
            raise Conflict("there is no open request of that id")
        self._tables.requests[request] = msgspec.structs.replace(
            found, closed_at=self._now(), outcome=outcome
        )


class MemoryExports(MemoryRepository, Exports):
    """Files that hold a person's data, in memory."""

    def add(self, made: ExportRecord) -> None:
        require(made.export not in self._tables.exports, "exports_pkey")
        require(made.subject in self._tables.subjects, "exports_subject_fkey")
        self._tables.exports[made.export] = ExportRow(made, self._now())

    def listed(self, *, subject: UUID | None, with_deleted: bool) -> list[ListedExport]:
        return [
            ListedExport(row.record, row.made_at, row.deleted_at)
            for row in self._tables.exports.values()
            if subject in (None, row.record.subject) and (row.deleted_at is None or with_deleted)
        ]

    def expired(self, *, at: dt.datetime) -> list[tuple[UUID, str]]:
        over = [record for record in self._kept() if record.expires_at <= at]
        return [(r.export, r.file) for r in sorted(over, key=lambda record: record.expires_at)]

    def of(self, subject: UUID) -> list[tuple[UUID, str]]:
        return [(r.export, r.file) for r in self._kept() if r.subject == subject]

    def _kept(self) -> list[ExportRecord]:
        return [row.record for row in self._tables.exports.values() if row.deleted_at is None]

    def mark_deleted(self, export: UUID) -> None:
        if (row := self._tables.exports.get(export)) is not None:
            row.deleted_at = self._now()
