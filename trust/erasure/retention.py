"""
Retention: delete rows and aggregates that are older than their purpose allows.

Leases under which nothing can be stored any more are deleted too, because ingest keeps all leases
in memory. Periods of permissions are deleted with the readings that were stored under them. The
epoch of a flush is kept for two weeks, for inspection.

Of several versions of a purpose, the shortest time applies: a series does not record to which
version its person consented.
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
    """How much one run of retention deleted."""

    partitions: int
    """Number of partitions that were dropped as a whole."""
    rows: dict[str, dict[str, int]]
    """Number of deleted rows, by purpose and store."""
    leases: int
    """Number of deleted leases, under which nothing can be stored any more."""
    periods: int = 0
    """Number of deleted periods of permissions, whose readings are deleted."""
    flushes: int = 0
    """Number of flushes whose epoch was deleted."""
    failures: list[Failure] = []
    """Purposes whose data could not be deleted; all other purposes are done."""


def shortest(purposes: Iterable[Purpose]) -> dict[str, Retention]:
    """Return, by name of purpose, the shortest retention of all its versions, in days."""
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
    Deletes data whose retention time is over.

    Args:
        vault: The vault, with the purposes.

        stores: The telemetry database, with observations and aggregates.

        keep_leases: How long an expired lease is kept for ingest.

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
        Update aggregates and cohort figures, then delete data whose retention time is over.

        Each purpose is handled alone: a policy that cannot be read does not stop the others.

        Raises:
            Unavailable: Some data are not deleted; call this again later.
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
        # A partition holds rows of every purpose, so no partition is dropped while the time of one
        # purpose is unknown. Another readable version of the purpose bounds its time.
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
        """Return all readable versions of all purposes, and a failure for each other version."""
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
        # After the rows: as long as a row exists, its permission can be found.
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
