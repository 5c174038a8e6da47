"""
Periodic jobs on the databases: roll-up, cohort figures, retention, witnesses and the audit.

Each job takes a lock of the database, so several daemons do not do the same job twice.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from runtime.logs import Log
from trust.domain.units import Failure
from trust.erasure.retention import Retainer
from trust.integrity.audit import Audit
from trust.maintenance.jobs import Do, Jobs
from trust.ports import Clock
from trust.telemetry.erasure import Stores

_ROUND_S: Final = 60.0
_ROUNDS_A_DAY: Final = 1440
_FIRST_AUDIT: Final = 5
_FIRST_RETENTION: Final = 60
_log: Final = Log("trust.maintenance.database_jobs")


class Maintenance:
    """
    Runs the periodic jobs on the databases.

    Args:
        stores: Stores that no other part uses, because the jobs run in a thread.

        retainer: Deletes old data; on the same stores.

        audit: Looks for missing decisions; on the same vault as the retainer.

        jobs: Runs each job alone; on the same vault.

        clock: Tells the time.

        done: Called with `rolled_up` or `retained` after that job.

        missing: Called each day with the number of missing decisions.
    """

    def __init__(  # noqa: PLR0913 - it does all that the clock asks for
        self,
        stores: Stores,
        retainer: Retainer,
        audit: Audit,
        jobs: Jobs,
        *,
        clock: Clock,
        done: Callable[[str], None],
        missing: Callable[[int], None],
    ) -> None:
        self._stores = stores
        self._retainer = retainer
        self._clock = clock
        self._done = done
        self._audit = audit
        self._jobs = jobs
        self._missing = missing

    async def run(self) -> None:
        """Run the jobs, in rounds of a minute, until cancelled; no failure ends the loop."""
        rounds = 0
        while True:
            await asyncio.sleep(_ROUND_S)
            await self._do("roll-up", self._roll_up)
            await self._do("cohorts", self._publish_cohorts)
            await self._do("witnesses", self._audit.note)
            if rounds % _ROUNDS_A_DAY == _FIRST_AUDIT:
                await self._do("audit", self._look)
            if rounds % _ROUNDS_A_DAY == _FIRST_RETENTION:
                await self._do("retention", self._retain)
            rounds += 1

    async def _do(self, name: str, work: Do) -> None:
        await asyncio.to_thread(self._jobs.do, name, work)

    def _roll_up(self) -> None:
        self._stores.roll_up(now=self._clock())
        self._done("rolled_up")

    def _publish_cohorts(self) -> None:
        self._stores.publish_cohorts(now=self._clock())

    def _look(self) -> None:
        found = self._audit.look()
        self._missing(found.missing)
        if found.missing:
            _log.error("decisions_missing", decisions=found.missing, chains=len(found.cut))
        policies = self._audit.policies()
        if policies.problems or policies.gone:
            missing = len(policies.problems) + policies.gone
            _log.error("policy_admissions_missing", versions=missing)

    def _retain(self) -> Collection[Failure]:
        retained = self._retainer.run()
        if not retained.failures:
            self._done("retained")
        rows = sum(n for stores in retained.rows.values() for n in stores.values())
        _log.info("retained", partitions=retained.partitions, rows=rows, leases=retained.leases)
        return retained.failures
