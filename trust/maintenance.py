"""
What is done by the clock: aggregates rolled up, cohort figures published, retention kept, and
what was decided remembered and looked for.

Each is done under a lock of the database's, so several daemons do not do it twice.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from runtime.logs import Log, describe
from trust.audit import Audit
from trust.errors import TrustError
from trust.ports import Clock
from trust.retention import Retainer
from trust.stores import Stores

_ROUND_S: Final = 60.0
_ROUNDS_A_DAY: Final = 1440
_FIRST_AUDIT: Final = 5
_FIRST_RETENTION: Final = 60
_log: Final = Log("trust.maintenance")


class Maintenance:
    """
    Does it.

    Args:
        stores: Of this alone: it is used from a thread.

        retainer: On those stores.

        audit: On the same vault as the retainer.

        clock: Tells the time.

        done: Told `rolled_up` or `retained` once it is.

        missing: Told how many decisions are missing, each day.
    """

    def __init__(
        self,
        stores: Stores,
        retainer: Retainer,
        audit: Audit,
        *,
        clock: Clock,
        done: Callable[[str], None] = lambda what: None,
        missing: Callable[[int], None] = lambda decisions: None,
    ) -> None:
        self._stores = stores
        self._retainer = retainer
        self._clock = clock
        self._done = done
        self._audit = audit
        self._missing = missing

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        rounds = 0
        while True:
            await asyncio.sleep(_ROUND_S)
            await self._attempt(self._round)
            await self._attempt(self._audit.note)
            if rounds % _ROUNDS_A_DAY == _FIRST_AUDIT:
                await self._attempt(self._look)
            if rounds % _ROUNDS_A_DAY == _FIRST_RETENTION:
                await self._attempt(self._retain)
            rounds += 1

    async def _attempt(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except TrustError as exc:
            _log.warning("not_maintained", error=describe(exc))

    def _round(self) -> None:
        now = self._clock()
        self._stores.roll_up(now=now)
        self._stores.publish_cohorts(now=now)
        self._done("rolled_up")

    def _look(self) -> None:
        found = self._audit.look()
        self._missing(found.missing)
        if found.missing:
            _log.error("decisions_missing", decisions=found.missing, chains=len(found.cut))

    def _retain(self) -> None:
        retained = self._retainer.run()
        self._done("retained")
        rows = sum(n for stores in retained.rows.values() for n in stores.values())
        _log.info("retained", partitions=retained.partitions, rows=rows, leases=retained.leases)
