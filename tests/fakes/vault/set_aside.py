"""The register of units that were set aside, in memory."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import SetAsideRow
from trust.domain.units import Failure, SetAside, Unit, UnitKind, Work, back_off
from trust.vault.records.set_aside import SetAsideRegister


class MemorySetAsideRegister(MemoryRepository, SetAsideRegister):
    """The register of units that were set aside, in memory. Waits have no jitter."""

    def replace(
        self,
        work: Work,
        failures: Mapping[str, Collection[Failure]],
        *,
        tried: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        rows, now = self._tables.set_aside, self._now()
        kept = {
            (work, agent, str(failure.unit.kind), failure.unit.name): failure
            for agent, found in failures.items()
            for failure in found
        }
        for key in [key for key in rows if key[0] is work and key[1] in failures]:
            if key not in kept:
                del rows[key]
        for key, failure in kept.items():
            row = rows.setdefault(key, SetAsideRow(failure.cause, None, now, now, failures=0))
            row.failures += 1
            row.cause, row.tried = failure.cause, tried.get(key[1])
            row.next_attempt_at = now + back_off(row.failures, jitter=0.5)

    def of_agents(self, work: Work, agents: Sequence[str]) -> dict[str, set[Failure]]:
        found: dict[str, set[Failure]] = {}
        for (of, agent, kind, unit), row in self._tables.set_aside.items():
            if of is work and agent in agents:
                failure = Failure(Unit(UnitKind(kind), unit), row.cause)
                found.setdefault(agent, set()).add(failure)
        return found

    def keeps_lease(self, agents: Sequence[str]) -> bool:
        return any(
            agent in agents and (work is Work.PUBLICATION or kind == UnitKind.GATEWAY)
            for work, agent, kind, _ in self._tables.set_aside
            if work in (Work.PUBLICATION, Work.LEASE)
        )

    def to_retry(self, *, limit: int) -> list[str]:
        ready = {agent for agent in self._ready(Work.LEASE) if agent in self._tables.agents}
        return sorted(ready)[:limit]

    def to_publish_again(self, *, limit: int) -> list[str]:
        return self._ready(Work.PUBLICATION)[:limit]

    def _ready(self, work: Work) -> list[str]:
        return [
            stands_in
            for (of, stands_in, _, _), row in self._tables.set_aside.items()
            if of is work and row.next_attempt_at <= self._now()
        ]

    def all(self, *, limit: int) -> list[SetAside]:
        found = [
            SetAside(
                work,
                stands_in,
                Failure(Unit(UnitKind(kind), unit), row.cause),
                row.failures,
                row.failed_since,
                row.next_attempt_at,
            )
            for (work, stands_in, kind, unit), row in self._tables.set_aside.items()
        ]
        in_order = sorted(
            found,
            key=lambda one: (
                one.failure.unit.kind,
                one.failure.unit.name,
                one.work,
                one.stands_in,
            ),
        )
        return in_order[:limit]

    def hasten(self) -> int:
        for row in self._tables.set_aside.values():
            row.next_attempt_at, row.failures = self._now(), 1
        return len(self._tables.set_aside)
