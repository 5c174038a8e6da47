"""
Retention: what a purpose needs no longer is deleted, rows and aggregates each in their time.

So are leases that nothing can be stored under any more: ingest keeps all that there are in memory.
Periods of permissions go with the readings that were stored under them; the epoch that a flush
held is kept for two weeks, in which it is looked at.

Of several versions of a purpose the shortest time counts: a series does not tell under which of
them its person consented.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from trust.ports import Clock
from trust.purposes import Purpose, Retention
from trust.stores import Stores
from trust.vault import Vault

_KEEP_FLUSHES: Final = dt.timedelta(days=14)


class Retained(msgspec.Struct, frozen=True):
    """What was deleted."""

    partitions: int
    """Dropped as a whole."""
    rows: dict[str, dict[str, int]]
    """Deleted, by purpose and store."""
    leases: int
    """Deleted: under which nothing can be stored any more."""
    periods: int = 0
    """Of permissions, deleted: what was stored under them is gone."""
    flushes: int = 0
    """Of which the epoch is not kept any more."""


def shortest(purposes: Iterable[Purpose]) -> dict[str, Retention]:
    """Return, by the name of a purpose, the shortest times of all its versions."""
    found: dict[str, Retention] = {}
    for purpose in purposes:
        before = found.get(purpose.name, purpose.retention)
        found[purpose.name] = Retention(
            min(before.raw_days, purpose.retention.raw_days),
            min(before.aggregate_days, purpose.retention.aggregate_days),
        )
    return found


class Retainer:
    """
    Deletes what is over its time.

    Args:
        vault: With the purposes.

        stores: Where observations and aggregates are.

        keep_leases: How long ingest is to know a lease that has ended.

        clock: Tells the time.
    """

    def __init__(
        self, vault: Vault, stores: Stores, *, keep_leases: dt.timedelta, clock: Clock
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._keep_leases = keep_leases
        self._clock = clock

    def run(self) -> Retained:
        """
        Delete what is over its time; aggregates and cohort figures are brought up to date first.

        Raises:
            Unavailable: Some of it is done; do it again later.
        """
        now = self._clock()
        with self._vault.transaction() as records:
            times = shortest(records.purposes())
        self._stores.roll_up(now=now)
        self._stores.publish_cohorts(now=now)
        leases = self._stores.prune_leases(until=now - self._keep_leases)
        flushes = self._stores.prune_flushes(until=now - _KEEP_FLUSHES)
        if not times:
            return Retained(0, {}, leases, flushes=flushes)
        longest = max(retention.raw_days for retention in times.values())
        partitions = self._stores.drop_partitions(until=now - dt.timedelta(days=longest))
        rows = self._retain(times, now=now)
        # After the rows: as long as one is there, it can be told under which permission it is.
        periods = sum(
            self._stores.prune_periods(name, until=now - dt.timedelta(days=retention.raw_days))
            for name, retention in times.items()
        )
        return Retained(partitions, rows, leases, periods, flushes)

    def _retain(
        self, times: Mapping[str, Retention], *, now: dt.datetime
    ) -> dict[str, dict[str, int]]:
        return {
            name: self._stores.retain(
                name,
                raw_from=now - dt.timedelta(days=retention.raw_days),
                aggregates_from=now - dt.timedelta(days=retention.aggregate_days),
            )
            for name, retention in times.items()
        }
