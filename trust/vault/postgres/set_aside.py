"""The register of units that were set aside, in PostgreSQL."""

import datetime as dt
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from runtime.database import named_sql
from trust.domain.units import Cause, Failure, SetAside, Unit, UnitKind, Work, back_off
from trust.ports import Keys
from trust.vault.database import Connection
from trust.vault.records.set_aside import SetAsideRegister
from trust.vault.repository import Repository

_STEPS: Final = 12
"""The wait does not grow any more after this many failures in a row."""


class PostgresSetAsideRegister(Repository, SetAsideRegister):
    """
    The statements of set_aside.sql.

    Args:
        connection: A connection inside the transaction.

        keys: The keys that every repository gets; this one signs nothing.

        jitter: Returns a random number from 0 to 1.
    """

    _sql = named_sql.read("trust.vault", "set_aside.sql")

    def __init__(
        self, connection: Connection, keys: Keys, *, jitter: Callable[[], float] = random.random
    ) -> None:
        super().__init__(connection, keys)
        self._jitter = jitter

    def replace(
        self,
        work: Work,
        failures: Mapping[str, Collection[Failure]],
        *,
        tried: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        kept = [(agent, f) for agent, found in failures.items() for f in sorted(found)]
        self._run(
            "keep_only",
            work=work,
            tried=list(failures),
            kept=[agent for agent, _ in kept],
            kinds=[f.unit.kind for _, f in kept],
            units=[f.unit.name for _, f in kept],
        )
        if not kept:
            return
        waits = self._waits()
        self._run_each(
            "set_aside",
            [
                {
                    "work": work,
                    "stands_in": agent,
                    "kind": failure.unit.kind,
                    "unit": failure.unit.name,
                    "cause": failure.cause,
                    "tried": tried.get(agent),
                    "first": waits[0],
                    "waits": waits,
                }
                for agent, failure in kept
            ],
        )

    def _waits(self) -> list[dt.timedelta]:
        return [back_off(n, jitter=self._jitter()) for n in range(1, _STEPS + 1)]

    def of_agents(self, work: Work, agents: Sequence[str]) -> dict[str, set[Failure]]:
        found: dict[str, set[Failure]] = {}
        for agent, kind, unit, cause in self._fetch("of_agents", work, list(agents)):
            failure = Failure(Unit(UnitKind(kind), unit), Cause(cause))
            found.setdefault(agent, set()).add(failure)
        return found

    def keeps_lease(self, agents: Sequence[str]) -> bool:
        return bool(self._fetch("keeps_lease", list(agents)))

    def to_retry(self, *, limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("to_retry", limit)]

    def to_publish_again(self, *, limit: int) -> list[str]:
        return [agent for (agent,) in self._fetch("to_publish_again", limit)]

    def all(self, *, limit: int) -> list[SetAside]:
        return [
            SetAside(Work(work), agent, Failure(Unit(UnitKind(kind), unit), Cause(cause)), *rest)
            for work, agent, kind, unit, cause, *rest in self._fetch("all", limit)
        ]

    def hasten(self) -> int:
        return self._run("hasten")
