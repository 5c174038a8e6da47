"""Officers, and their requests to re-identify pseudonyms, in PostgreSQL."""

import datetime as dt
from uuid import UUID

from runtime.database import named_sql
from trust.domain.reidentify import Known, Officer, Signed
from trust.errors import Conflict, NotFound
from trust.vault.records.officers import (
    Officers,
    ReidentificationAttempt,
    Reidentifications,
    sign_officer,
    verified_officer,
)
from trust.vault.repository import Repository


class PostgresOfficers(Repository, Officers):
    """The statements of officers.sql."""

    _sql = named_sql.read("trust.vault", "officers.sql")

    def add(self, officer: Officer) -> None:
        signed = sign_officer(officer, self._keys)
        added = self._run(
            "add",
            officer.officer,
            officer.role,
            bytes.fromhex(officer.public_key),
            self._keys.key_id,
            signed.signature,
            signed.document,
        )
        if not added:
            raise Conflict("an officer has that key already, and each has one of their own")

    def all(self) -> dict[UUID, Known]:
        found = {}
        for document, signature, ended_at in self._fetch("all"):
            signed = Signed(bytes(document), bytes(signature))
            officer = verified_officer(signed, self._keys)
            found[officer.officer] = Known(officer, ended_at)
        return found

    def end(self, officer: UUID) -> None:
        if not self._run("end", officer):
            raise NotFound("officer", "See `vitalveil trust officer list`.")


class PostgresReidentifications(Repository, Reidentifications):
    """The statements of reidentifications.sql."""

    _sql = named_sql.read("trust.vault", "reidentifications.sql")

    def add(self, request: UUID, requester: UUID, signed: Signed) -> None:
        self._run("add", request, requester, signed.document, signed.signature)

    def get(self, request: UUID) -> tuple[Signed, dt.datetime | None] | None:
        rows = self._fetch("get", request)
        if not rows:
            return None
        document, signature, opened_at = rows[0]
        return Signed(bytes(document), bytes(signature)), opened_at

    def requested_since(self, requester: UUID, since: dt.datetime) -> int:
        return int(self._fetch("requested_since", requester, since)[0][0])

    def open(self, request: UUID) -> bool:
        return self._run("open", request) == 1

    def add_approval(self, request: UUID, approver: UUID, signed: Signed) -> None:
        self._run("add_approval", request, approver, signed.document, signed.signature)

    def approvals(self, request: UUID) -> list[Signed]:
        return [Signed(bytes(d), bytes(s)) for d, s in self._fetch("approvals", request)]

    def add_attempt(
        self, *, request: UUID | None, officer: UUID | None, action: str, outcome: str
    ) -> None:
        self._run("add_attempt", request, officer, action, outcome)

    def attempts(self, *, limit: int) -> list[ReidentificationAttempt]:
        return [ReidentificationAttempt(*row) for row in self._fetch("attempts", limit)]
