"""
The journal of the vault: epochs of keys, how many decisions there are, what people asked for, and
what was handed out.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from runtime.database import named_sql
from trust.domain.due_dates import RequestKind, RequestOutcome, RightsRequest
from trust.errors import Conflict, NotFound
from trust.vault.database import Connection, Row

_SQL: Final = named_sql.read(
    "trust.vault", "decisions.sql", "epochs.sql", "requests.sql", "exports.sql"
)


class ExportRecord(msgspec.Struct, frozen=True):
    """An export that lies ready for a person."""

    export: UUID
    subject: UUID
    request: UUID | None
    file: str
    sha256: bytes
    observations: int
    expires_at: dt.datetime


class Journal:
    """
    The journal, seen from inside one transaction.

    Args:
        connection: In that transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _run(self, name: str, *arguments: Any) -> int:
        return self._connection.execute(_SQL[name], arguments).rowcount

    def _fetch(self, name: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(_SQL[name], arguments).fetchall()

    # Epochs of pseudonym keys

    def epoch(self, purpose: str) -> int:
        """Return the epoch in force."""
        return int(self._fetch("epoch", purpose)[0][0])

    def begin_epoch(self, purpose: str, epoch: int) -> None:
        """Note that *epoch* is in force from now on."""
        self._run("add_epoch", purpose, epoch)

    def unmoved_epoch(self, purpose: str) -> int | None:
        """Return the epoch that not every handle has moved to, if there is one."""
        rows = self._fetch("unmoved_epoch", purpose)
        return rows[0][0] if rows else None

    def epoch_is_moved(self, purpose: str, epoch: int) -> None:
        """Note that every handle has moved to *epoch*."""
        self._run("epoch_is_moved", purpose, epoch)

    def epochs(self) -> list[Row]:
        """Return purpose, epoch, when it began, and when every handle had moved to it."""
        return self._fetch("epochs")

    def live_epochs(self, purpose: str) -> dict[int, int]:
        """Return how many handles that have not ended are in each epoch."""
        return dict(self._fetch("live_epochs", purpose))

    def agents_below_epoch(self, purpose: str, epoch: int, *, limit: int) -> list[str]:
        """Return agents with a handle in an epoch before *epoch*."""
        return [agent for (agent,) in self._fetch("agents_below_epoch", purpose, epoch, limit)]

    def move_handles(self, purpose: str, epoch: int, *, agents: Sequence[str]) -> int:
        """Move the handles at *agents* to *epoch*; return how many."""
        return self._run("move_handles", epoch, purpose, list(agents), epoch)

    # Chains of decisions, counted

    def last_position(self) -> int:
        """Return the position of the newest decision of all."""
        return int(self._fetch("last_position")[0][0])

    def count_decisions(self) -> int:
        """Return how many decisions there are."""
        return int(self._fetch("count_decisions")[0][0])

    def chains_after(self, position: int) -> dict[tuple[UUID, str], int]:
        """Return, of who has a decision after *position*, how many there are in all."""
        return {(who, what): n for who, what, n in self._fetch("chains_after", position)}

    def chains(self, *, after: UUID, limit: int) -> dict[tuple[UUID, str], int]:
        """Return how many decisions there are, of *limit* subjects and of every purpose."""
        return {(who, what): n for who, what, n in self._fetch("chains", after, limit)}

    # Requests of people

    def add_request(self, request: RightsRequest) -> None:
        """Keep *request*."""
        self._run(
            "add_request",
            request.request,
            request.subject,
            request.kind,
            request.received_at,
            request.due_at,
        )

    def request(self, request: UUID) -> RightsRequest:
        """
        Return a request; nobody else changes it until the transaction ends.

        Raises:
            NotFound: There is none.
        """
        rows = self._fetch("request", request)
        if not rows:
            raise NotFound("request", "See `vitalveil trust request list`.")
        return _request(rows[0])

    def requests(self, *, with_closed: bool) -> list[RightsRequest]:
        """Return the requests, the one due first at first."""
        return [_request(row) for row in self._fetch("requests", with_closed)]

    def request_ids(self, *, with_closed: bool) -> list[UUID]:
        """Return the ids of the requests, the one due first at first."""
        return [request for (request,) in self._fetch("request_ids", with_closed)]

    def extend_request(self, request: RightsRequest) -> None:
        """Keep the new due date of *request*, and why."""
        self._run("extend_request", request.due_at, request.extended_because, request.request)

    def close_request(self, request: UUID, outcome: RequestOutcome) -> None:
        """
        Note what came of *request*.

        Raises:
            Conflict: It is closed, or not there.
        """
        if not self._run("close_request", outcome, request):
            raise Conflict("there is no open request of that id")

    # Exports

    def add_export(self, made: ExportRecord) -> None:
        """Note that a person's data lie in a file, and until when."""
        self._run("add_export", *msgspec.structs.astuple(made))

    def expired_exports(self, *, at: dt.datetime) -> list[tuple[UUID, str]]:
        """Return exports whose time is over and whose file was not deleted yet."""
        return [(export, file) for export, file in self._fetch("expired_exports", at)]

    def export_is_deleted(self, export: UUID) -> None:
        """Note that the file of *export* is gone."""
        self._run("export_is_deleted", export)


def _request(row: Row) -> RightsRequest:
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
