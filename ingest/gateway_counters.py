"""
The fleet in sums: what gateways tell of themselves, added up and never told apart.

A gateway counts from its own start. What it says is compared with what it said before, so that the
sums only grow, over restarts of gateways as well. What is heard of a gateway for the first time is
where its count begins: its past belongs to whoever listened then.
"""

import enum
import threading
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from wire.state import State
from wire.totals import FAMILIES, LEASE_TAKEN_MS, LEVELS

_P: Final = "vitalveil_ingest_fleet_"
_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)


class UnreadableState(enum.StrEnum):
    """Why a state message tells nothing."""

    TOPIC = "topic"
    """Its topic names no gateway."""
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


class _Seen(msgspec.Struct, gc=False):
    """What one gateway said last."""

    lease: int
    depth: int
    is_online: bool
    is_measuring: bool
    totals: dict[str, int]
    levels: dict[str, int]


class GatewayCounters(Collector):
    """
    The sums, shown at a scrape.

    Which gateway said what is kept in memory, to tell what is new, and is not shown.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._sums = {key: 0 for family in FAMILIES for key in family.names()}
        self._propagation = [0] * (len(_SECONDS) + 1)
        self._propagation_s = 0.0
        # Scraped from the thread that serves /metrics.
        self._lock = threading.Lock()

    def note(self, agent: str, told: State) -> None:
        """Take in what *agent* says of itself."""
        before = self._seen.get(agent)
        totals = told.totals if isinstance(told.totals, dict) else None
        levels = told.levels if isinstance(told.levels, dict) else {}
        with self._lock:
            if before is not None and totals is not None:
                self._count(before.totals, totals)
                if told.lease > before.lease and LEASE_TAKEN_MS in levels:
                    self._observe(levels[LEASE_TAKEN_MS] / 1000)
            if totals is None:
                totals = before.totals if before is not None else {}
            self._seen[agent] = _Seen(
                told.lease,
                sum(spool.depth for spool in told.spools),
                told.online,
                told.measuring,
                totals,
                levels,
            )

    def _count(self, before: dict[str, int], now: dict[str, int]) -> None:
        # One that is less began anew: all counters of a gateway live and die together.
        is_anew = any(now.get(key, 0) < count for key, count in before.items())
        for key, count in now.items():
            if key in self._sums:
                self._sums[key] += count - (0 if is_anew else before.get(key, 0))

    def _observe(self, seconds: float) -> None:
        self._propagation[bisect_left(_SECONDS, seconds)] += 1
        self._propagation_s += seconds

    def collect(self) -> Iterable[Metric]:
        """Yield the sums."""
        with self._lock:
            seen = list(self._seen.values())
            sums = dict(self._sums)
            buckets, total_s = list(self._propagation), self._propagation_s
        online = [one for one in seen if one.is_online]
        agents = GaugeMetricFamily(_P + "agents", "Gateways heard of.", labels=["state"])
        agents.add_metric(["online"], len(online))
        agents.add_metric(["offline"], len(seen) - len(online))
        yield agents
        yield _gauge("measuring_agents", "Gateways that a lease lets measure now.",
                     sum(one.is_measuring for one in online))  # fmt: skip
        yield _gauge("spool_envelopes", "Envelopes that no receipt has settled, in all spools.",
                     sum(one.depth for one in seen))  # fmt: skip
        yield from _levels(online)
        for family in FAMILIES:
            shown = CounterMetricFamily(_P + family.name, family.text, labels=[family.label])
            for key, value in family.names().items():
                shown.add_metric([value], sums[key])
            yield shown
        yield _histogram(buckets, total_s)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_P + name, text, value=value)


def _levels(online: list[_Seen]) -> Iterable[Metric]:
    held = {name: [one.levels.get(name, 0) for one in online] for name in LEVELS}
    yield _gauge("spool_bytes", "Bytes in the spools of the gateways that are online.",
                 sum(held["spool_bytes"]))  # fmt: skip
    yield _gauge("spool_oldest_seconds", "Age of the oldest envelope in any spool, as last told.",
                 max(held["spool_oldest_ms"], default=0) / 1000)  # fmt: skip
    sensors = GaugeMetricFamily(
        _P + "sensors", "Sensors that leases name, and those connected by radio.", labels=["state"]
    )
    sensors.add_metric(["bound"], sum(held["bound_sensors"]))
    sensors.add_metric(["connected"], sum(held["connected_sensors"]))
    yield sensors


def _histogram(counts: list[int], total_s: float) -> HistogramMetricFamily:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip([*map(str, _SECONDS), "+Inf"], counts, strict=True):
        below += count
        buckets.append((bound, below))
    family = HistogramMetricFamily(
        _P + "lease_propagation_seconds",
        "From a lease being issued to a gateway obeying it.",
    )
    family.add_metric([], buckets, sum_value=total_s)
    return family
