"""The Prometheus metrics of ingest. Labels come from closed sets and never identify anyone."""

import collections
import threading
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from ingest.accounting import Accounting
from ingest.admission.plan import STORED, Plan
from ingest.gateway_counters import GatewayCounters, UnreadableState
from ingest.ports import Stored
from ingest.receipts.floors import Ignored
from ingest.receipts.receipts import Wait
from ingest.values.clones import CloneSign
from ingest.values.outcome import Outcome, QuarantineReason, Reason
from wire.quantities import QUANTITIES

_P: Final = "vitalveil_ingest_"
_NAMES: Final = {code: q.name for code, q in QUANTITIES.items()}
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def fine_buckets() -> list[float]:
    """Return bucket bounds from 1 ms to 1 h, s: a factor of 1.3 apart below 2 s, of 2 above."""
    bounds = [0.001]
    while bounds[-1] < 3600:
        bounds.append(round(bounds[-1] * (1.3 if bounds[-1] < 2 else 2), 6))
    bounds[-1] = 3600.0
    return bounds


class ManyHistogram(Collector):
    """
    A histogram that takes thousands of values at once.

    The histogram of prometheus_client takes one value at a time, which is too slow for a flush.
    """

    def __init__(self, name: str, text: str, bounds: list[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        # The thread that serves /metrics calls `collect`.
        self._lock = threading.Lock()

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Count each of *values*, shape (n,), in the unit of the bounds."""
        buckets = np.searchsorted(self._bounds, values, side="left")
        counts = np.bincount(buckets, minlength=len(self._counts))
        with self._lock:
            self._counts += counts
            self._sum += float(values.sum())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the histogram as it is at one moment."""
        with self._lock:
            cumulative = np.cumsum(self._counts).tolist()
            total = self._sum
        labels = [*map(repr, self._bounds.tolist()), "+Inf"]
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric([], list(zip(labels, cumulative, strict=True)), sum_value=total)
        yield family


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(_P + name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(_P + name, text, labels, registry=registry)

        self._accounting = Accounting()
        registry.register(self._accounting)
        self._refused = counter("refused_envelopes", "Envelopes refused.", "reason")
        self._quarantined = counter(
            "quarantined_envelopes", "Envelopes put into quarantine.", "reason"
        )
        self._observations = counter("observations", "Observations settled.", "outcome")
        self._stored = counter("stored_observations", "Observations stored.", "quantity")
        self._refused_observations = counter(
            "refused_observations",
            "Observations refused, each with its block.",
            "reason",
        )
        self.receipts = counter("receipts", "Receipts handed to the broker's connection.")
        self._waiting = gauge(
            "waiting_receipts", "Gateways to which no receipt can be sent yet.", "reason"
        )
        self._ignored_floors = counter(
            "ignored_floors", "Floors of gateways that were ignored.", "reason"
        )
        self._unreadable_states = counter(
            "unreadable_states", "State messages of gateways that cannot be read.", "reason"
        )
        self._clone_signs = counter(
            "clone_signs", "Signs that two devices use the identity of one gateway.", "sign"
        )
        self.refused_receipts = counter(
            "refused_receipts", "Receipts that the broker refused: an access rule, or a quota."
        )
        self.retries = counter("flush_retries", "Flushes that were tried again.")
        self.flush_s = Histogram(
            _P + "flush_seconds",
            "From the time when a flush is due until its COMMIT.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.copy_s = Histogram(
            _P + "copy_seconds", "Duration of COPY.", buckets=_SECONDS, registry=registry
        )
        self.latency = ManyHistogram(
            _P + "measured_to_queryable_seconds",
            "From the newest observation of a block until its COMMIT.",
            fine_buckets(),
        )
        registry.register(self.latency)
        self.fleet = GatewayCounters()
        registry.register(self.fleet)
        self.epoch = gauge("permissions_epoch", "Epoch of the permissions in memory.")
        self.permissions = gauge("permissions", "Permissions in memory.")
        self.connected = gauge("connected", "1 while connected, otherwise 0.", "to")
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create all labels at the start, so that the first refusal shows as an increase."""
        for outcome in Outcome:
            self._observations.labels(outcome)
        for reason in Reason:
            self._refused.labels(reason)
            self._refused_observations.labels(reason)
        for why in QuarantineReason:
            self._quarantined.labels(why)
        for name in _NAMES.values():
            self._stored.labels(name)
        for wait in Wait:
            self._waiting.labels(wait)
        for ignored in Ignored:
            self._ignored_floors.labels(ignored)
        for unreadable in UnreadableState:
            self._unreadable_states.labels(unreadable)
        for sign in CloneSign:
            self._clone_signs.labels(sign)
        for to in ("broker", "database", "permissions"):
            self.connected.labels(to)

    def show_waiting(self, counts: Mapping[Wait, int]) -> None:
        """Set the number of gateways that wait for a receipt, by reason."""
        for wait, count in counts.items():
            self._waiting.labels(wait).set(count)

    def ignored_floor(self, why: Ignored) -> None:
        """Count a floor that was ignored."""
        self._ignored_floors.labels(why).inc()

    def unreadable_state(self, why: UnreadableState) -> None:
        """Count a state message that cannot be read."""
        self._unreadable_states.labels(why).inc()

    def clone_sign(self, sign: CloneSign) -> None:
        """Count a sign that two devices use the identity of one gateway."""
        self._clone_signs.labels(sign).inc()

    def note_received(self, count: int) -> None:
        """Count deliveries taken from the broker."""
        self._accounting.receive(count)

    def note_abandoned(self, count: int) -> None:
        """Count deliveries dropped unread because their connection was lost."""
        self._accounting.abandon(count)

    def note_stored(self, stored: Stored) -> None:
        """Count the envelopes and observations that a flush has committed."""
        # Outcomes are compared by `id` in an array: hashing an enum is a call into Python, and
        # most envelopes of a flush have the same outcome.
        outcomes = np.full(len(stored.fates), id(Outcome.STORED), np.int64)
        if stored.fates.count(STORED) < len(stored.fates):
            outcomes[:] = [id(outcome) for outcome, _ in stored.fates]
        self._accounting.settle({o: int(np.count_nonzero(outcomes == id(o))) for o in Outcome})
        others = np.flatnonzero(outcomes != id(Outcome.STORED)).tolist()
        told = collections.Counter(stored.fates[n] for n in others)
        for (outcome, why), count in told.items():
            if outcome is Outcome.REFUSED and isinstance(why, Reason):
                self._refused.labels(why).inc(count)
            elif outcome is Outcome.QUARANTINED and isinstance(why, QuarantineReason):
                self._quarantined.labels(why).inc(count)
        if stored.copy_s:
            self.copy_s.observe(stored.copy_s)
        self._note_observations(stored.plan, stored, outcomes)

    def _note_observations(self, plan: Plan, stored: Stored, outcomes: NDArray[np.int64]) -> None:
        blocks = plan.admission.blocks
        if not len(blocks.envelopes):
            return
        of_blocks = outcomes[blocks.envelopes]
        for outcome in (Outcome.DUPLICATE, Outcome.QUARANTINED):
            total = int(blocks.observed[of_blocks == id(outcome)].sum())
            self._observations.labels(outcome).inc(total)
        decided = (of_blocks == id(Outcome.STORED)) | (of_blocks == id(Outcome.REFUSED))
        by_code = np.bincount(blocks.codes[decided], weights=blocks.observed[decided], minlength=1)
        self._observations.labels(Outcome.STORED).inc(by_code[0])
        self._observations.labels(Outcome.REFUSED).inc(by_code[1:].sum())
        for code in np.flatnonzero(by_code[1:]).tolist():
            self._refused_observations.labels(Reason.of(code + 1)).inc(by_code[code + 1])
        admitted = decided & (blocks.codes == 0)
        by_quantity = np.bincount(
            blocks.quantities[admitted], weights=blocks.observed[admitted], minlength=1
        )
        for quantity in np.flatnonzero(by_quantity).tolist():
            self._stored.labels(_NAMES[quantity]).inc(by_quantity[quantity])
        # A gateway's clock may be seconds ahead. A negative value would make the sum fall, which
        # Prometheus takes for a restart.
        late_ms = np.maximum(stored.committed_ms - blocks.newest_ms[admitted], 0)
        self.latency.observe_all(late_ms / 1000)
