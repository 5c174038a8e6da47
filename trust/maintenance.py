"""
What is done by the clock: aggregates rolled up, cohort figures published, retention kept.

Each is done under a lock of the database's, so several daemons do not do it twice.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from runtime.logs import Log, describe
from trust.errors import TrustError
from trust.ports import Clock
from trust.retention import Retainer
from trust.stores import Stores

_ROUND_S: Final = 60.0
_ROUNDS_A_DAY: Final = 1440
_FIRST_RETENTION: Final = 60
_log: Final = Log("trust.maintenance")


class Maintenance:
    """
    Does it.

    Args:
        stores: Of this alone: it is used from a thread.

        retainer: On those stores.

        clock: Tells the time.

        done: Told `rolled_up` or `retained` once it is.
    """

    def __init__(
        self,
        stores: Stores,
        retainer: Retainer,
        *,
        clock: Clock,
        done: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._stores = stores
        self._retainer = retainer
        self._clock = clock
        self._done = done

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        rounds = 0
        while True:
            await asyncio.sleep(_ROUND_S)
            await self._attempt(self._round)
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

    def _retain(self) -> None:
        retained = self._retainer.run()
        self._done("retained")
        rows = sum(n for stores in retained.rows.values() for n in stores.values())
        _log.info("retained", partitions=retained.partitions, rows=rows)
