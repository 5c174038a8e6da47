"""Requests of people, and the files that were exported for them, in PostgreSQL."""

import datetime as dt
from uuid import UUID

import msgspec

from runtime.database import named_sql
from trust.domain.due_dates import RequestKind, RequestOutcome, RightsRequest
from trust.errors import Conflict, NotFound
from trust.vault.database import Row
from trust.vault.records.requests import ExportRecord, Exports, ListedExport, Requests
from trust.vault.repository import Repository


class PostgresRequests(Repository, Requests):
    """The statements of requests.sql."""

    _sql = named_sql.read("trust.vault", "requests.sql")

    def add(self, request: RightsRequest) -> None:
        self._run(
            "add",
            request.request,
            request.subject,
            request.kind,
            request.received_at,
            request.due_at,
        )

    def get(self, request: UUID) -> RightsRequest:
        rows = self._fetch("get", request)
        if not rows:
            raise NotFound("request", "See `vitalveil trust request list`.")
        return request_of(rows[0])

    def all(self, *, with_closed: bool) -> list[RightsRequest]:
        return [request_of(row) for row in self._fetch("all", with_closed)]

    def ids(self, *, with_closed: bool) -> list[UUID]:
        return [request for (request,) in self._fetch("ids", with_closed)]

    def extend(self, request: RightsRequest) -> None:
        self._run("extend", request.due_at, request.extended_because, request.request)

    def close(self, request: UUID, outcome: RequestOutcome) -> None:
        if not self._run("close", outcome, request):
            raise Conflict("there is no open request of that id")


def request_of(row: Row) -> RightsRequest:
    """Return the request in a *row*: its columns in the order of the statement `get`."""
    request, subject, kind, received_at, due_at, because, closed_at, outcome = row
    return RightsRequest(
        request,
        subject,
        RequestKind(kind),
        received_at,
        due_at,
        because,
        closed_at,
        None if outcome is None else RequestOutcome(outcome),
    )


class PostgresExports(Repository, Exports):
    """The statements of exports.sql."""

    _sql = named_sql.read("trust.vault", "exports.sql")

    def add(self, made: ExportRecord) -> None:
        self._run("add", *msgspec.structs.astuple(made))

    def listed(self, *, subject: UUID | None, with_deleted: bool) -> list[ListedExport]:
        return [
            ListedExport(ExportRecord(*rest), made_at, deleted_at)
            for made_at, deleted_at, *rest in self._fetch("listed", subject, subject, with_deleted)
        ]

    def expired(self, *, at: dt.datetime) -> list[tuple[UUID, str]]:
        return [(export, file) for export, file in self._fetch("expired", at)]

    def of(self, subject: UUID) -> list[tuple[UUID, str]]:
        return [(export, file) for export, file in self._fetch("of_subject", subject)]

    def mark_deleted(self, export: UUID) -> None:
        self._run("mark_deleted", export)
