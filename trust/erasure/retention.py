"""
Retention: what a purpose needs no longer is deleted, rows and aggregates each in their time.

So are leases that nothing can be stored under any more: ingest keeps all that there are in memory.
Periods of permissions go with the readings that were stored under them; the epoch that a flush
held is kept for two weeks, in which it is looked at.

Of several versions of a purpose the shortest time counts: a series does not tell under which of
them its person consented.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

import msgspec

from trust.domain.purposes import Purpose, Retention
from trust.domain.units import Cause, Failure, Unit, UnitKind
from trust.errors import Unusable
from trust.ports import Clock
from trust.telemetry.erasure import Stores
from trust.vault.isolation import attempt, attempt_within
from trust.vault.protocols import Vault

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
    failures: list[Failure] = []
    """Purposes that could not be kept to; all others were."""


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

        Each purpose alone: one whose policy cannot be read keeps no other from its time.

        Raises:
            Unavailable: Some of it is done; do it again later.
        """
        now = self._clock()
        leases = self._stores.prune_leases(until=now - self._keep_leases)
        flushes = self._stores.prune_flushes(until=now - _KEEP_FLUSHES)
        purposes, failures = self._purposes()
        ends: dict[str, _Ends] = {}
        for name, retention in sorted(shortest(purposes).items()):
            found = attempt(lambda r=retention: _ends(r, now=now), kind=UnitKind.PURPOSE)  # type: ignore[misc]
            if isinstance(found, Cause):
                failures.append(Failure(Unit(UnitKind.PURPOSE, name), found))
            else:
                ends[name] = found
        self._stores.roll_up(now=now)
        self._stores.publish_cohorts(now=now)
        # A partition holds rows of every purpose. Of one whose time is not known nothing is
        # dropped as a whole; where another version of it is readable, that bounds its time.
        is_known = {failure.unit.name.partition("@")[0] for failure in failures} <= ends.keys()
        partitions = 0
        if ends and is_known:
            until = min(end.raw_from for end in ends.values())
            partitions = self._stores.drop_partitions(until=until)
        rows: dict[str, dict[str, int]] = {}
        periods = 0
        for name, end in ends.items():
            done = attempt(lambda n=name, e=end: self._retain(n, e), kind=UnitKind.PURPOSE)  # type: ignore[misc]
            if isinstance(done, Cause):
                failures.append(Failure(Unit(UnitKind.PURPOSE, name), done))
            else:
                rows[name], gone = done
                periods += gone
        return Retained(partitions, rows, leases, periods, flushes, failures)

    def _purposes(self) -> tuple[list[Purpose], list[Failure]]:
        """Return every version of every purpose that can be read, and those that cannot."""
        found: list[Purpose] = []
        failures: list[Failure] = []
        with self._vault.transaction() as records:
            for name, version in records.purposes.references():
                purpose = attempt_within(
                    lambda n=name, v=version: records.purposes.get(n, v),  # type: ignore[misc]
                    kind=UnitKind.PURPOSE,
                )
                if isinstance(purpose, Cause):
                    unit = Unit(UnitKind.PURPOSE, f"{name}@{version}")
                    failures.append(Failure(unit, purpose))
                else:
                    found.append(purpose)
        return found, failures

    def _retain(self, name: str, end: "_Ends") -> tuple[dict[str, int], int]:
        rows = self._stores.retain(
            name, raw_from=end.raw_from, aggregates_from=end.aggregates_from
        )
        # After the rows: as long as one is there, it can be told under which permission it is.
        return rows, self._stores.prune_periods(name, until=end.raw_from)


class _Ends(msgspec.Struct, frozen=True):
    raw_from: dt.datetime
    aggregates_from: dt.datetime


def _ends(retention: Retention, *, now: dt.datetime) -> _Ends:
    try:
        return _Ends(
            now - dt.timedelta(days=retention.raw_days),
            now - dt.timedelta(days=retention.aggregate_days),
        )
    except OverflowError:
        raise Unusable("a policy") from None
