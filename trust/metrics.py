"""Metrics of trust: no label names an agent, a subject or a purpose."""

import itertools
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from trust.domain.units import Cause, Failure, UnitKind


class Metrics:
    """All metrics of the daemon, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.published = Counter(
            "vitalveil_trust_published_leases_total",
            "Leases that the broker confirmed.",
            registry=self.registry,
        )
        self.brought = Counter(
            "vitalveil_trust_brought_agents_total",
            "Agents that the daemon renewed, or finished for a command that was cut off.",
            registry=self.registry,
        )
        self.failures = Counter(
            "vitalveil_trust_failures_total",
            "Rounds that ended because something outside did not do its part.",
            ["of"],
            registry=self.registry,
        )
        self.unfinished = Gauge(
            "vitalveil_trust_unfinished_agents",
            "Agents whose change the telemetry database does not have yet.",
            registry=self.registry,
        )
        self._unit_failures = Counter(
            "vitalveil_trust_unit_failures_total",
            "Attempts at a unit of work that failed for a cause of its own; all others went on.",
            ["kind", "cause"],
            registry=self.registry,
        )
        for unit_kind, unit_cause in itertools.product(UnitKind, Cause):
            self._unit_failures.labels(unit_kind, unit_cause)
        self.missing = Gauge(
            "vitalveil_trust_missing_decisions",
            "Decisions that the vault has no more, at the last daily look.",
            registry=self.registry,
        )
        self.unpublished = Gauge(
            "vitalveil_trust_unpublished_leases",
            "Leases that the broker does not have yet.",
            registry=self.registry,
        )
        self.connected = Gauge(
            "vitalveil_trust_connected",
            "1 while connected.",
            ["to"],
            registry=self.registry,
        )
        self._ended = Counter(
            "vitalveil_trust_ended_sessions_total",
            "Sessions of vv_reader and vv_grafana that were ended at a limit.",
            ["cause"],
            registry=self.registry,
        )
        for cause in ("statement", "transaction", "idle_in_transaction", "unseen"):
            self._ended.labels(cause)
        self._done_at = Gauge(
            "vitalveil_trust_maintained_timestamp_seconds",
            "When it was last done, or the daemon started; seconds since 1970.",
            ["what"],
            registry=self.registry,
        )
        for what in ("rolled_up", "retained", "limited", "erasures_verified"):
            self.note_done(what)
        for to in ("vault", "telemetry", "broker"):
            self.connected.labels(to).set(0)
            self.failures.labels(to)

    def count_failures(self, failures: Iterable[Failure]) -> None:
        """Count each of *failures* under its kind of unit and its cause."""
        for failure in failures:
            self._unit_failures.labels(failure.unit.kind, failure.cause).inc()

    def note_ended(self, cause: str, sessions: int) -> None:
        """Count the *sessions* that were ended for *cause*."""
        self._ended.labels(cause).inc(sessions)

    def note_done(self, what: str) -> None:
        """Note the time of *what*: rolled_up, retained, limited or erasures_verified."""
        self._done_at.labels(what).set_to_current_time()


class EnrolmentMetrics:
    """All metrics of the enrolment service, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            "vitalveil_trust_desk_attempts_total",
            "Attempts to enrol, or to renew a certificate.",
            ["what", "outcome"],
            registry=self.registry,
        )
        for what in ("enrolled", "renewed"):
            for outcome in (
                "admitted",
                "not_accepted",
                "renewed_before",
                "bad_request",
                "throttled",
                "failed",
            ):
                self._attempts.labels(what, outcome)

    def count(self, what: str, outcome: str) -> None:
        """Count one attempt of the kind *what*, enrolled or renewed, under its *outcome*."""
        self._attempts.labels(what, outcome).inc()
