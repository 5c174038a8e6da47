"""What trust's operator, and the DPO, want to know of the vault: counts, and what is late."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime import named_sql
from runtime.logs import Log, describe
from trust.config import DatabaseSettings
from trust.database import parameters

_P: Final = "vitalveil_trust_"
_QUERIES: Final = named_sql.read("trust", "watch.sql")
_EVERY_S: Final = 30.0
_OPTIONS: Final = "-c statement_timeout=5s -c lock_timeout=1s"
_FAMILIES: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    ("agents", "Gateways in the vault.", "state", ("enrolled", "revoked")),
    ("subjects", "People in the vault.", "", ("",)),
    ("handles", "Handles: one for each person at a gateway.", "state", ("active", "ended")),
    (
        "unfinished_oldest_seconds",
        "Age of the oldest change that the telemetry database does not have; 0 for none.",
        "",
        ("",),
    ),
    ("overdue_leases", "Leases that should have been renewed 2 minutes ago.", "", ("",)),
    ("ending_certificates", "Gateways whose certificate ends within 30 days.", "", ("",)),
    ("erasures", "Erasures that were begun.", "state", ("unfinished", "certified")),
    ("erasure_oldest_seconds", "Age of the oldest unfinished erasure; 0 for none.", "", ("",)),
    ("requests", "What people asked for and was not closed.", "state", ("open", "overdue")),
)
_log = Log("trust.watch")


class Watch(Collector):
    """
    Looks at the vault when it is scraped, over a short connection of its own.

    A vault that is away makes the numbers absent, never old.

    Args:
        settings: Where the vault is.

        now: Seconds, of any clock that does not go back.
    """

    def __init__(
        self, settings: DatabaseSettings, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._parameters = {
            **parameters(settings, section="vault"),
            "connect_timeout": 2,
            "options": _OPTIONS,
            "application_name": "vitalveil trust watch",
        }
        self._now = now
        self._lock = threading.Lock()
        self._due_at = float("-inf")
        self._last: tuple[Any, ...] | None = None

    def describe(self) -> Iterable[Metric]:
        """Yield what there may be."""
        return [_family(name, text, label) for name, text, label, _ in _FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """Yield what there is."""
        with self._lock:
            if self._now() >= self._due_at:
                self._last = self._look()
                self._due_at = self._now() + _EVERY_S
            row = self._last
        if row is None:
            return
        values = iter(row)
        for name, text, label, states in _FAMILIES:
            family = _family(name, text, label)
            for state in states:
                family.add_metric([state] if label else [], float(next(values)))
            yield family

    def _look(self) -> tuple[Any, ...] | None:
        try:
            with psycopg.connect(**self._parameters, autocommit=True) as connection:
                return connection.execute(_QUERIES["watch"]).fetchone()
        except psycopg.Error as error:
            _log.warning("watch_failed", error=describe(error))
            return None


def _family(name: str, text: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_P + name, text, labels=[label] if label else [])
