"""Metrics of the verification of erasures: no label names a person or an erasure."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from trust.erasure.ledger_copy import FileState
from trust.erasure.verification import Verified


class ErasureMetrics:
    """
    The metrics of the verification of erasures.

    Args:
        registry: The registry of the daemon.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._erased_again = Counter(
            "vitalveil_trust_erased_again_total",
            "Erasures of which something was there again, and was erased again.",
            registry=registry,
        )
        self._unsettled = Gauge(
            "vitalveil_trust_unsettled_erasures",
            "Erasures that the last verification could not settle.",
            ["state"],
            registry=registry,
        )
        self._unknown = Gauge(
            "vitalveil_trust_unknown_series",
            "Series of rows without a name that no erasure deleted, at the last look.",
            registry=registry,
        )
        self._not_verified = Gauge(
            "vitalveil_trust_unverified_tables",
            "Tables that may hold rows and could not be looked at: another owner's, or damaged.",
            registry=registry,
        )
        self._files = Gauge(
            "vitalveil_trust_erasure_ledger_file",
            "1 for the state that the file of the erasure ledger is in.",
            ["state"],
            registry=registry,
        )
        self._repaired = Counter(
            "vitalveil_trust_erasure_ledger_file_repaired_total",
            "Times that the file of the erasure ledger lacked erasures, and was given them again.",
            registry=registry,
        )
        for state in ("failed", "tampered", "not_rewritten"):
            self._unsettled.labels(state)
        for state in FileState:
            self._files.labels(state.value)

    def verified(self, found: Verified) -> None:
        """Set the metrics to the result of a verification."""
        self._erased_again.inc(len(found.erased_again))
        self._unsettled.labels("failed").set(len(found.failed))
        self._unsettled.labels("tampered").set(len(found.tampered))
        self._unsettled.labels("not_rewritten").set(found.not_rewritten)
        self._unknown.set(found.unknown_series)
        self._not_verified.set(found.not_looked_at)

    def ledger_file(self, was: FileState, now: FileState) -> None:
        """Set the state of the ledger's file to *now*; count a repair if *was* differs."""
        if was is not now and now is FileState.COMPLETE:
            self._repaired.inc()
        for state in FileState:
            self._files.labels(state.value).set(state is now)
