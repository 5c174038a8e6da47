"""Handles, in memory."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import HandleRow, require
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


class MemoryHandles(MemoryRepository, Handles):
    """Handles, in memory."""

    def add(self, handle: Handle, *, data_key: bytes) -> None:
        rows = self._tables.handles
        here = [r for r in rows.values() if (r.subject, r.agent) == (handle.subject, handle.agent)]
        row = HandleRow(
            handle.subject,
            handle.agent,
            1 + max((other.epoch for other in here), default=0),
            handle.purpose,
            handle.decision,
            subjects.seal_bindings(
                handle.bindings,
                handle=handle.handle,
                issued_for=issued_for(handle.agent, handle.purpose, handle.decision),
                data_key=data_key,
            ),
            handle.key_epoch,
            self._now(),
        )
        require(handle.handle not in rows, "handles_pkey")
        require(row.subject in self._tables.subjects, "handles_subject_fkey")
        require(row.agent in self._tables.agents, "handles_agent_fkey")
        decided = {decision.decision for decision in self._tables.decisions}
        require(row.decision in decided, "handles_decision_fkey")
        rows[handle.handle] = row

    def unbind(self, handle: Handle, *, at: dt.datetime, data_key: bytes) -> None:
        row = self._tables.handles.get(handle.handle)
        if row is not None and row.ended_at is None and row.unbound_at is None:
            row.sealed_unbound, row.unbound_at = row.sealed_bindings, at
            row.sealed_bindings = sealed_without_bindings(handle, data_key=data_key)

    def sealed_at(self, agents: Sequence[str]) -> list[SealedHandle]:
        found = [self._sealed(handle, r) for handle, r in self._live() if r.agent in agents]
        return sorted(found, key=lambda sealed: (sealed.agent, sealed.handle))

    def sealed(self, handle: bytes) -> SealedHandle | None:
        row = dict(self._live()).get(handle)
        return None if row is None else self._sealed(handle, row)

    def _sealed(self, handle: bytes, row: HandleRow) -> SealedHandle:
        self._tables.read(row.subject)
        return SealedHandle(
            handle,
            row.subject,
            row.agent,
            row.purpose,
            row.decision,
            row.sealed_bindings,
            row.key_epoch,
            self._tables.subjects[row.subject].wrapped_key,
            row.unbound_at,
            row.sealed_unbound,
            row.issued_at,
        )

    def owners_at(self, agents: Sequence[str]) -> list[Owner]:
        found = [Owner(h, r.subject, r.agent, r.purpose) for h, r in self._live()]
        return sorted((o for o in found if o.agent in agents), key=lambda o: (o.agent, o.handle))

    def open(self, sealed: SealedHandle) -> Handle:
        return open_handle(sealed, self._keys)

    def lease_load(self, agent: str) -> tuple[int, int]:
        sizes = [len(row.sealed_bindings) for _, row in self._live() if row.agent == agent]
        return len(sizes), sum(sizes)

    def live_at(self, agent: str) -> list[bytes]:
        return [handle for handle, row in self._live() if row.agent == agent]

    def agents_of(self, subject: UUID, purpose: str) -> list[str]:
        chain = (subject, purpose)
        return sorted({r.agent for _, r in self._live() if (r.subject, r.purpose) == chain})

    def end(self, subject: UUID, purpose: str, *, agent: str | None = None) -> None:
        for _, row in self._live():
            if (row.subject, row.purpose) == (subject, purpose) and agent in (None, row.agent):
                row.ended_at = self._now()

    def end_at(self, agent: str) -> None:
        for _, row in self._live():
            if row.agent == agent:
                row.ended_at = self._now()

    def of(self, subject: UUID, purpose: str | None) -> list[tuple[bytes, str, str, int]]:
        return [
            (handle, row.agent, row.purpose, row.key_epoch)
            for handle, row in self._tables.handles.items()
            if row.subject == subject and purpose in (None, row.purpose)
        ]

    def all(self) -> list[tuple[bytes, UUID, str]]:
        return [(handle, r.subject, r.purpose) for handle, r in self._tables.handles.items()]

    def delete_of(self, subject: UUID, purpose: str | None) -> int:
        return self.delete([handle for handle, _, _, _ in self.of(subject, purpose)])

    def delete(self, handles: Iterable[bytes]) -> int:
        found = set(handles) & self._tables.handles.keys()
        for handle in found:
            del self._tables.handles[handle]
        return len(found)

    def count_by_epoch(self, purpose: str) -> dict[int, int]:
        return dict(Counter(r.key_epoch for _, r in self._live() if r.purpose == purpose))

    def agents_below_epoch(self, purpose: str, epoch: int, *, limit: int) -> list[str]:
        earlier = {
            row.agent
            for _, row in self._live()
            if row.purpose == purpose and row.key_epoch < epoch
        }
        return sorted(earlier)[:limit]

    def move_to_epoch(self, purpose: str, epoch: int, *, agents: Sequence[str]) -> int:
        moved = [
            row
            for _, row in self._live()
            if row.purpose == purpose and row.agent in agents and row.key_epoch < epoch
        ]
        for row in moved:
            row.key_epoch = epoch
        return len(moved)

    def subjects_of_purpose(self, purpose: str) -> Iterator[UUID]:
        yield from {r.subject for r in self._tables.handles.values() if r.purpose == purpose}

    def _live(self) -> list[tuple[bytes, HandleRow]]:
        return [(h, row) for h, row in self._tables.handles.items() if row.ended_at is None]
