"""The register of units that were set aside, within one transaction of the vault."""

import datetime as dt
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from runtime.database import named_sql
from trust.domain.units import Cause, Failure, SetAside, Unit, UnitKind, Work, back_off
from trust.vault.database import Connection, Row

_SQL: Final = named_sql.read("trust.vault", "set_aside.sql")
_STEPS: Final = 12
"""After so many failures in a row the wait does not grow any more."""


class SetAsideRegister:
    """
    The register, seen from inside one transaction.

    Args:
        connection: In that transaction.

        jitter: Returns a number from 0 to 1.
    """

    def __init__(
        self, connection: Connection, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._connection = connection
        self._jitter = jitter

    def _fetch(self, name: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(_SQL[name], arguments).fetchall()

    def replace(
        self,
        work: Work,
        failures: Mapping[str, Collection[Failure]],
        *,
        tried: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """
        Keep *failures* of *work*; whatever else failed before of what was tried is well now.

        Args:
            work: What was done.

            failures: By what they stand in the way of: each gateway, or job, that was tried, with
                none where all is well.

            tried: Of gateways, up to which change (`Agent.wanted`) that was tried: what is wanted
                later does not wait.
        """
        kept = [(agent, f) for agent, found in failures.items() for f in sorted(found)]
        self._connection.execute(
            _SQL["keep_only"],
            {
                "work": work,
                "tried": list(failures),
                "kept": [agent for agent, _ in kept],
                "kinds": [f.unit.kind for _, f in kept],
                "units": [f.unit.name for _, f in kept],
            },
        )
        if not kept:
            return
        waits = self._waits()
        with self._connection.cursor() as cursor:
            cursor.executemany(
                _SQL["set_aside"],
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
        """Return what of *work* failed last for those of *agents* for which any did."""
        found: dict[str, set[Failure]] = {}
        for agent, kind, unit, cause in self._fetch("of_agents", work, list(agents)):
            failure = Failure(Unit(UnitKind(kind), unit), Cause(cause))
            found.setdefault(agent, set()).add(failure)
        return found

    def keeps_lease(self, agents: Sequence[str]) -> bool:
        """Tell whether one of *agents* has an older lease at the broker than it should."""
        return bool(self._fetch("keeps_lease", list(agents)))

    def to_retry(self, *, limit: int) -> list[str]:
        """Return gateways for which something failed that is to be tried again now."""
        return [agent for (agent,) in self._fetch("to_retry", limit)]

    def to_publish_again(self, *, limit: int) -> list[str]:
        """Return gateways whose lease the broker did not take, and that are to be tried again."""
        return [agent for (agent,) in self._fetch("to_publish_again", limit)]

    def all(self, *, limit: int) -> list[SetAside]:
        """Return what is set aside, for a list."""
        return [
            SetAside(Work(work), agent, Failure(Unit(UnitKind(kind), unit), Cause(cause)), *rest)
            for work, agent, kind, unit, cause, *rest in self._fetch("list", limit)
        ]

    def hasten(self) -> int:
        """Have everything that is set aside tried again at once; return how many rows."""
        return self._connection.execute(_SQL["hasten"]).rowcount
