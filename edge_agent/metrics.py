"""The metrics of the agent. Labels come from closed enums, never from a sensor or a handle."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from edge_agent import totals
from edge_agent.ports import Amount, Shortage, SpoolStats
from edge_agent.values.measurement import Outcome, Verdict
from edge_agent.values.receipt_faults import ReceiptFault
from wire.refusals import Refusal

_PREFIX = "vitalveil_agent_"


class Metrics:
    """
    The metrics of one agent process.

    Args:
        registry: One for each agent, so that several fit into one process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._measurements = self._counter(
            "measurements",
            "Measurements by outcome, once for each purpose that they serve.",
            "outcome",
            ("kept", "coarsened", "refused"),
        )
        self._refused = self._counter(
            "refused_measurements", "Measurements that were refused.", "reason", Refusal
        )
        self._pending = self._gauge(
            "pending_measurements", "Measurements that wait in memory to be kept."
        )
        self._appended = self._amounts("appended", "were written to the spool")
        self._settled = self._amounts("settled", "were removed on a receipt")
        reasons = ("withdrawn", *Shortage)
        self._purged = tuple(
            self._counter(
                f"purged_{what}", f"{what} given up without a receipt.", "reason", reasons
            )
            for what in ("envelopes", "observations")
        )
        self.published = self._plain("published_envelopes", "Envelopes published.")
        self.published_again = self._plain(
            "republished_envelopes", "Of those, published more than once."
        )
        self.leases_refused = self._plain("refused_leases", "Leases that were rejected.")
        self._refused_receipts = self._counter(
            "refused_receipts",
            "Receipts without a proof of ingest, which are ignored.",
            "reason",
            ReceiptFault,
        )
        self.spool_damaged = self._plain("spool_damaged", "Spools set aside as damaged.")
        self.spool_errors = self._plain("spool_errors", "Failed operations of the spool.")
        self.clock_steps = self._plain("clock_steps", "Steps of the time of day.")
        self.clock_dated = self._gauge("clock_dated", "Whether the time of day is known.")
        self.broker_errors = self._plain("broker_errors", "Connections that failed or ended.")
        self.connected = self._gauge("connected", "Whether the broker is connected.")
        self.lease_version = self._gauge("lease_version", "Version of the lease held.")
        self._lease_taken = self._gauge(
            "lease_taken_seconds", "How long after its issue the lease held was taken over."
        )
        self.measuring = self._gauge("measuring", "Whether a lease in force lets it measure.")
        self._envelopes = self._gauge("spool_envelopes", "Envelopes in the spool.")
        self._bytes = self._gauge("spool_bytes", "Bytes of the envelopes in the spool.")
        self._oldest = self._gauge("spool_oldest_seconds", "Age of the oldest, 0 when empty.")

    def _plain(self, name: str, text: str) -> Counter:
        return Counter(_PREFIX + name, text, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(_PREFIX + name, text, registry=self._registry)

    def _counter(self, name: str, text: str, label: str, values: Iterable[str]) -> Counter:
        counter = Counter(_PREFIX + name, text, [label], registry=self._registry)
        for value in values:
            counter.labels(str(value))
        return counter

    def _amounts(self, name: str, text: str) -> tuple[Counter, Counter]:
        return (
            self._plain(f"{name}_envelopes", f"Envelopes that {text}."),
            self._plain(f"{name}_observations", f"Observations that {text}."),
        )

    def decided(self, outcome: Outcome) -> None:
        """Count the outcome of a measurement, unless it is still pending."""
        if isinstance(outcome, Refusal):
            self.refused(outcome)
        elif outcome is Verdict.COARSENED:
            self._measurements.labels("coarsened").inc()

    def refused(self, reason: Refusal, count: int = 1) -> None:
        """Count *count* measurements as refused."""
        self._measurements.labels("refused").inc(count)
        self._refused.labels(reason.value).inc(count)

    def refused_receipt(self, fault: ReceiptFault) -> None:
        """Count a receipt that the agent ignores."""
        self._refused_receipts.labels(fault.value).inc()

    def appended(self, amount: Amount) -> None:
        """Count what was written to the spool: each observation is one measurement kept."""
        self._measurements.labels("kept").inc(amount.observations)
        _add(self._appended, amount)

    def settled(self, amount: Amount) -> None:
        """Count what was removed from the spool on a receipt."""
        _add(self._settled, amount)

    def purged(self, amount: Amount, *, reason: str) -> None:
        """Count what was given up without a receipt: withdrawn, or a `Shortage`."""
        envelopes, observations = self._purged
        envelopes.labels(reason).inc(amount.envelopes)
        observations.labels(reason).inc(amount.observations)

    def took_lease(self, version: int, issued_at_ms: int, now_ms: int) -> None:
        """Set the version of the lease in force, and how long after its issue it was accepted."""
        self.lease_version.set(version)
        self._lease_taken.set(max(0, now_ms - issued_at_ms) / 1000)

    def told(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the totals and levels for the state message."""
        return totals.read(self._registry)

    def show(self, stats: SpoolStats, *, pending: int, now_ms: int) -> None:
        """Set the gauges of the spool and of pending measurements."""
        self._pending.set(pending)
        self._envelopes.set(stats.depth)
        self._bytes.set(stats.bytes)
        oldest_ms = now_ms if stats.oldest_ms is None else stats.oldest_ms
        self._oldest.set(max(0, now_ms - oldest_ms) / 1000)


def _add(counters: tuple[Counter, Counter], amount: Amount) -> None:
    envelopes, observations = counters
    envelopes.inc(amount.envelopes)
    observations.inc(amount.observations)
