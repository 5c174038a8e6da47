"""Officers and their requests to re-identify, in memory."""

import datetime as dt
from uuid import UUID

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import OfficerRow, ReidentificationRow, require
from trust.domain.reidentify import Known, Officer, Signed
from trust.errors import Conflict, NotFound
from trust.vault.records.officers import (
    Officers,
    ReidentificationAttempt,
    Reidentifications,
    sign_officer,
    verified_officer,
)


class MemoryOfficers(MemoryRepository, Officers):
    """Officers, in memory."""

    def add(self, officer: Officer) -> None:
        rows = self._tables.officers
        if any(row.public_key == officer.public_key for row in rows.values()):
            raise Conflict("an officer has that key already, and each has one of their own")
        require(officer.officer not in rows, "officers_pkey")
        signed = sign_officer(officer, self._keys)
        rows[officer.officer] = OfficerRow(officer.officer, officer.public_key, signed)

    def all(self) -> dict[UUID, Known]:
        officers = {
            verified_officer(row.signed, self._keys): row.ended_at
            for row in self._tables.officers.values()
        }
        return {officer.officer: Known(officer, ended) for officer, ended in officers.items()}

    def end(self, officer: UUID) -> None:
        row = self._tables.officers.get(officer)
        if row is None or row.ended_at is not None:
            raise NotFound("officer", "See `vitalveil trust officer list`.")
        row.ended_at = self._now()


class MemoryReidentifications(MemoryRepository, Reidentifications):
    """Requests to re-identify, in memory."""

    def add(self, request: UUID, requester: UUID, signed: Signed) -> None:
        require(request not in self._tables.reidentifications, "reidentifications_pkey")
        require(requester in self._tables.officers, "reidentifications_requester_fkey")
        row = ReidentificationRow(requester, signed, self._now())
        self._tables.reidentifications[request] = row

    def get(self, request: UUID) -> tuple[Signed, dt.datetime | None] | None:
        row = self._tables.reidentifications.get(request)
        return None if row is None else (row.signed, row.opened_at)

    def requested_since(self, requester: UUID, since: dt.datetime) -> int:
        rows = self._tables.reidentifications.values()
        return sum(row.requester == requester and row.requested_at > since for row in rows)

    def open(self, request: UUID) -> bool:
        row = self._tables.reidentifications.get(request)
        if row is None or row.opened_at is not None:
            return False
        row.opened_at = self._now()
        return True

    def add_approval(self, request: UUID, approver: UUID, signed: Signed) -> None:
        require(request in self._tables.reidentifications, "approvals_request_fkey")
        require(approver in self._tables.officers, "approvals_approver_fkey")
        approvals = self._tables.reidentifications[request].approvals
        require(approver not in {known for known, _ in approvals}, "approvals_pkey")
        approvals.append((approver, signed))

    def approvals(self, request: UUID) -> list[Signed]:
        row = self._tables.reidentifications.get(request)
        return [] if row is None else [signed for _, signed in row.approvals]

    def add_attempt(
        self, *, request: UUID | None, officer: UUID | None, action: str, outcome: str
    ) -> None:
        self._tables.attempts.append((request, officer, action, outcome, self._now()))

    def attempts(self, *, limit: int) -> list[ReidentificationAttempt]:
        latest = list(reversed(self._tables.attempts))[:limit]
        return [ReidentificationAttempt(*attempt) for attempt in latest]
