"""
Counters of all gateways together, from the states that the gateways publish.

No metric tells gateways apart. A gateway counts from its own start; each state is compared with
the state before, so that the sums only grow, also when a gateway restarts. The first state of a
gateway is the starting point and adds nothing: earlier processes have counted what came before.
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
    """Why a state message cannot be used."""

    TOPIC = "topic"
    """The topic names no gateway."""
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


class _LastState(msgspec.Struct, gc=False):
    """The part of a gateway's last state that the metrics need."""

    lease: int
    depth: int
    is_online: bool
    is_measuring: bool
    totals: dict[str, int]
    levels: dict[str, int]


class GatewayCounters(Collector):
    """
    Sums over all gateways, read at a scrape.

    The last state of each gateway is kept in memory to find what has been added since; no metric
    shows it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _LastState] = {}
        self._sums = {key: 0 for family in FAMILIES for key in family.names()}
        self._propagation = [0] * (len(_SECONDS) + 1)
        self._propagation_s = 0.0
        # The thread that serves /metrics calls `collect`.
        self._lock = threading.Lock()

    def note(self, agent: str, told: State) -> None:
        """Add what the state *told* of *agent* counts beyond the agent's last state."""
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
            self._seen[agent] = _LastState(
                told.lease,
                sum(spool.depth for spool in told.spools),
                told.online,
                told.measuring,
                totals,
                levels,
            )

    def _count(self, before: dict[str, int], now: dict[str, int]) -> None:
        # A smaller counter means a restart: all counters of a gateway restart together.
        has_restarted = any(now.get(key, 0) < count for key, count in before.items())
        for key, count in now.items():
            if key in self._sums:
                self._sums[key] += count - (0 if has_restarted else before.get(key, 0))

    def _observe(self, seconds: float) -> None:
        self._propagation[bisect_left(_SECONDS, seconds)] += 1
        self._propagation_s += seconds

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics as they are at one moment."""
        with self._lock:
            seen = list(self._seen.values())
            sums = dict(self._sums)
            buckets, total_s = list(self._propagation), self._propagation_s
        online = [one for one in seen if one.is_online]
        agents = GaugeMetricFamily(
            _P + "agents", "Gateways whose state is known.", labels=["state"]
        )
        agents.add_metric(["online"], len(online))
        agents.add_metric(["offline"], len(seen) - len(online))
        yield agents
        yield _gauge("measuring_agents", "Gateways that may measure under a lease now.",
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


def _levels(online: list[_LastState]) -> Iterable[Metric]:
    held = {name: [one.levels.get(name, 0) for one in online] for name in LEVELS}
    yield _gauge("spool_bytes", "Bytes in the spools of the gateways that are online.",
                 sum(held["spool_bytes"]))  # fmt: skip
    yield _gauge("spool_oldest_seconds",
                 "Age of the oldest envelope in any spool, as last reported.",
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
        "From the issue of a lease until a gateway follows it.",
    )
    family.add_metric([], buckets, sum_value=total_s)
    return family
