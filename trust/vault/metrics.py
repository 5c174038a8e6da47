"""Metrics of the vault for trust's operator and the DPO: counts, and how late work is."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.database import named_sql, postgres
from runtime.errors import SessionRefused
from runtime.logs import Log
from trust.config import DatabaseSettings
from trust.domain.units import Cause, UnitKind
from trust.vault.database import parameters, why

_P: Final = "vitalveil_trust_"
_QUERIES: Final = named_sql.read("trust.vault", "metrics.sql")
_EVERY_S: Final = 30.0
_LIMITS: Final = postgres.Limits(statement_ms=5000, lock_ms=1000)
_FAMILIES: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    ("agents", "Gateways in the vault.", "state", ("enrolled", "revoked")),
    ("uncut_agents", "Revoked gateways that may still be connected to the broker.", "", ("",)),
    ("suspected_clones", "Gateways with a sign that two use their identity.", "", ("",)),
    ("subjects", "People in the vault.", "", ("",)),
    (
        "handles",
        "People who are measured at a gateway for a purpose, however many sensors they have.",
        "state",
        ("active", "ended"),
    ),
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
    ("requests", "Requests of people that are not closed.", "state", ("open", "overdue")),
)
_SET_ASIDE: Final = (
    "set_aside_units",
    "Units of the daemon's work that failed and are set aside.",
)
_TAMPERED: Final = (
    "tampered_agents",
    "Gateways with leases or permissions that stay unchanged, because a record does not verify.",
)
_log = Log("trust.vault.metrics")


class VaultMetrics(Collector):
    """
    Queries the vault when it is scraped, at most every 30 seconds, over its own connection.

    While the vault is unavailable the metrics are absent; they are never outdated.

    Args:
        settings: How to connect to the vault.

        now: Returns seconds of a monotonic clock.
    """

    def __init__(
        self, settings: DatabaseSettings, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._parameters = {
            **parameters(settings, section="vault"),
            "connect_timeout": 2,
            "application_name": "vitalveil trust watch",
        }
        self._now = now
        self._lock = threading.Lock()
        self._due_at = float("-inf")
        self._last: tuple[tuple[Any, ...], list[tuple[str, str, int]]] | None = None

    def describe(self) -> Iterable[Metric]:
        """Return the metric families without samples; the registry checks their names."""
        families = [_family(name, text, label) for name, text, label, _ in _FAMILIES]
        return [*families, _units(), GaugeMetricFamily(_P + _TAMPERED[0], _TAMPERED[1])]

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of the last query; none if it failed."""
        with self._lock:
            if self._now() >= self._due_at:
                self._last = self._look()
                self._due_at = self._now() + _EVERY_S
            found = self._last
        if found is None:
            return
        row, set_aside = found
        yield from _of_set_aside(set_aside)
        values = iter(row)
        for name, text, label, states in _FAMILIES:
            family = _family(name, text, label)
            for state in states:
                family.add_metric([state] if label else [], float(next(values)))
            yield family

    def _look(self) -> tuple[tuple[Any, ...], list[tuple[str, str, int]]] | None:
        try:
            with postgres.connect(self._parameters, limits=_LIMITS) as connection:
                row = connection.execute(_QUERIES["watch"]).fetchone()
                set_aside = connection.execute(_QUERIES["set_aside"]).fetchall()
                return None if row is None else (row, set_aside)
        except (psycopg.Error, SessionRefused) as error:
            _log.warning("watch_failed", error=why(error))
            return None


def _units() -> GaugeMetricFamily:
    return GaugeMetricFamily(_P + _SET_ASIDE[0], _SET_ASIDE[1], labels=["kind", "cause"])


def _of_set_aside(rows: Iterable[tuple[str, str, int]]) -> Iterator[Metric]:
    units, tampered = _units(), GaugeMetricFamily(_P + _TAMPERED[0], _TAMPERED[1])
    for kind, cause, count in rows:
        if not kind:
            tampered.add_metric([], count)
        # A later release may have written other kinds and causes; labels are a closed set.
        elif kind in set(UnitKind) and cause in set(Cause):
            units.add_metric([kind, cause], count)
    yield from (units, tampered)


def _family(name: str, text: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_P + name, text, labels=[label] if label else [])
