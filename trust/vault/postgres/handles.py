"""Handles, in PostgreSQL."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from runtime.database import named_sql
from trust.domain import subjects
from trust.vault.records.handles import (
    Handle,
    Handles,
    Owner,
    SealedHandle,
    issued_for,
    open_handle,
    sealed_without_bindings,
)
from trust.vault.repository import Repository


class PostgresHandles(Repository, Handles):
    """The statements of handles.sql."""

    _sql = named_sql.read("trust.vault", "handles.sql")

    def add(self, handle: Handle, *, data_key: bytes) -> None:
        issued = issued_for(handle.agent, handle.purpose, handle.decision)
        self._run(
            "add_handle",
            handle.handle,
            handle.subject,
            handle.agent,
            handle.purpose,
            handle.decision,
            subjects.seal_bindings(
                handle.bindings,
                handle=handle.handle,
                issued_for=issued,
                data_key=data_key,
            ),
            handle.key_epoch,
            handle.subject,
            handle.agent,
        )

    def unbind(self, handle: Handle, *, at: dt.datetime, data_key: bytes) -> None:
        self._run("unbind", sealed_without_bindings(handle, data_key=data_key), at, handle.handle)

    def sealed_at(self, agents: Sequence[str]) -> list[SealedHandle]:
        return [SealedHandle(*row) for row in self._fetch("sealed_at", list(agents))]

    def sealed(self, handle: bytes) -> SealedHandle | None:
        rows = self._fetch("sealed", handle)
        return SealedHandle(*rows[0]) if rows else None

    def owners_at(self, agents: Sequence[str]) -> list[Owner]:
        rows = self._fetch("owners_at", list(agents))
        return [Owner(bytes(handle), *rest) for handle, *rest in rows]

    def open(self, sealed: SealedHandle) -> Handle:
        return open_handle(sealed, self._keys)

    def lease_load(self, agent: str) -> tuple[int, int]:
        ((handles, length_bytes),) = self._fetch("lease_load", agent)
        return int(handles), int(length_bytes)

    def live_at(self, agent: str) -> list[bytes]:
        return [bytes(handle) for (handle,) in self._fetch("live_at", agent)]

    def agents_of(self, subject: UUID, purpose: str) -> list[str]:
        return [agent for (agent,) in self._fetch("agents_of", subject, purpose)]

    def end(self, subject: UUID, purpose: str, *, agent: str | None = None) -> None:
        if agent is None:
            self._run("end_of_purpose", subject, purpose)
        else:
            self._run("end_of_purpose_at", subject, purpose, agent)

    def end_at(self, agent: str) -> None:
        self._run("end_at", agent)

    def of(self, subject: UUID, purpose: str | None) -> list[tuple[bytes, str, str, int]]:
        rows = self._fetch("of_subject", subject, purpose, purpose)
        return [(bytes(handle), agent, of, epoch) for handle, agent, of, epoch in rows]

    def all(self) -> list[tuple[bytes, UUID, str]]:
        return [(bytes(handle), who, purpose) for handle, who, purpose in self._fetch("all")]

    def delete_of(self, subject: UUID, purpose: str | None) -> int:
        return self._run("delete_of_subject", subject, purpose, purpose)

    def delete(self, handles: Iterable[bytes]) -> int:
        return self._run("delete", list(handles))

    def count_by_epoch(self, purpose: str) -> dict[int, int]:
        return dict(self._fetch("count_by_epoch", purpose))

    def agents_below_epoch(self, purpose: str, epoch: int, *, limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("agents_below_epoch", purpose, epoch, limit)]

    def move_to_epoch(self, purpose: str, epoch: int, *, agents: Sequence[str]) -> int:
        return self._run("move_to_epoch", epoch, purpose, list(agents), epoch)

    def subjects_of_purpose(self, purpose: str) -> Iterator[UUID]:
        with self._connection.cursor(name="subjects_of_purpose") as cursor:
            cursor.itersize = 10_000
            cursor.execute(self._sql["subjects_of_purpose"], [purpose])
            for (subject,) in cursor:
                yield subject
