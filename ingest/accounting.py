"""The accounting of envelopes: counters that add up at every scrape."""

import threading
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.values.outcome import Outcome

_P: Final = "vitalveil_ingest_"


class Accounting(Collector):
    """
    Received = stored + duplicate + refused + quarantined + abandoned + in flight.

    One collector with one lock instead of separate metrics: another thread writes /metrics, and a
    flush between the reading of two metrics would look like lost envelopes.
    """

    def __init__(self) -> None:
        self._received = 0
        self._abandoned = 0
        self._in_flight = 0
        self._settled = dict.fromkeys(Outcome, 0)
        self._lock = threading.Lock()

    def receive(self, count: int) -> None:
        """Count envelopes taken from the broker."""
        with self._lock:
            self._received += count
            self._in_flight += count

    def abandon(self, count: int) -> None:
        """Count envelopes dropped unread because their connection was lost."""
        with self._lock:
            self._abandoned += count
            self._in_flight -= count

    def settle(self, outcomes: Mapping[Outcome, int]) -> None:
        """Count envelopes whose outcome is committed, by outcome."""
        with self._lock:
            for outcome, count in outcomes.items():
                self._settled[outcome] += count
                self._in_flight -= count

    def collect(self) -> Iterable[Metric]:
        """Yield all counters as they are at one moment."""
        with self._lock:
            received, abandoned, in_flight = self._received, self._abandoned, self._in_flight
            settled = dict(self._settled)
        yield CounterMetricFamily(
            _P + "received_envelopes", "Envelopes taken from the broker.", value=received
        )
        shown = CounterMetricFamily(_P + "envelopes", "Envelopes settled.", labels=["outcome"])
        for outcome, count in settled.items():
            shown.add_metric([outcome], count)
        yield shown
        yield CounterMetricFamily(
            _P + "abandoned_envelopes",
            "Envelopes dropped unread because their connection was lost; the broker resends them.",
            value=abandoned,
        )
        yield GaugeMetricFamily(
            _P + "in_flight_envelopes", "Envelopes received and not settled.", value=in_flight
        )
