"""Metrics of the telemetry database, read outside the hot path: sizes, epoch, clock offset."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Final

import msgspec
import psycopg
from msgspec import Meta
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg.conninfo import make_conninfo

from ingest.storage.queries import QUERIES
from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.logs import Log, describe

_P: Final = "vitalveil_ingest_"
_TEXTS: Final = {
    "database_bytes": "Size of the telemetry database.",
    "ledger_envelopes": "Envelopes in the ledger, as estimated by the planner.",
    "quarantine_envelopes": "Envelopes in quarantine.",
    "quarantine_oldest_seconds": "Age of the oldest envelope in quarantine, 0 if empty.",
    "permissions_gate_epoch": "Epoch of the permissions in the database.",
    "clock_offset_seconds": "This machine's clock minus the database's.",
}
_CAPACITY: Final = "database_capacity_bytes"
_CAPACITY_TEXT: Final = "Configured limit of the telemetry database's size; absent if none."
_LIMITS: Final = postgres.Limits(statement_ms=5000, lock_ms=1000)
_log = Log("ingest.storage.monitor")


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the database is monitored."""

    every_s: Annotated[float, Meta(gt=0)] = 30.0
    """Least time between two queries of the database; scrapes in between see the last result."""
    database_capacity_bytes: Annotated[int, Meta(ge=0)] = 0
    """Size to which the database may grow, for the alert that it fills up; 0 if unknown."""


class DatabaseMonitor(Collector):
    """
    Queries the database when it is scraped, over a short connection of its own.

    If the database cannot be reached, the metrics are absent, never old.

    Args:
        conninfo: Connection string with the password.

        settings: How often to query, and the capacity.

        now: The system clock, seconds since 1970.

        monotonic: A monotonic clock, s. The system clock would show an old result for too long
            after it was set back.
    """

    def __init__(
        self,
        conninfo: str,
        settings: MonitorSettings,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conninfo = make_conninfo(conninfo, connect_timeout=2)
        self._settings = settings
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._due_at = float("-inf")
        self._last: Mapping[str, float] = {}

    def describe(self) -> Iterable[Metric]:
        """Yield all metrics without values, for the registry."""
        for name, text in {**_TEXTS, _CAPACITY: _CAPACITY_TEXT}.items():
            yield GaugeMetricFamily(_P + name, text)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics; query the database if the last result is too old."""
        with self._lock:
            if self._monotonic() >= self._due_at:
                self._last = self._look()
                self._due_at = self._monotonic() + self._settings.every_s
            seen = dict(self._last)
        for name, value in seen.items():
            yield GaugeMetricFamily(_P + name, _TEXTS[name], value=value)
        if self._settings.database_capacity_bytes:
            yield GaugeMetricFamily(
                _P + _CAPACITY, _CAPACITY_TEXT, value=self._settings.database_capacity_bytes
            )

    def _look(self) -> Mapping[str, float]:
        try:
            with postgres.connect(self._conninfo, limits=_LIMITS) as connection:
                row = connection.execute(QUERIES["watch"]).fetchone()
        except (psycopg.Error, SessionRefused) as error:
            _log.warning("watch_failed", error=describe(error))
            return {}
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        *numbers, clock = map(float, row)
        return dict(zip(_TEXTS, [*numbers, self._now() - clock], strict=True))
