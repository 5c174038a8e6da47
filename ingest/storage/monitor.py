"""What ingest sees of its database from outside the hot path: sizes, backlog, epoch, clock."""

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
    "ledger_envelopes": "Envelopes in the ledger, as the planner estimates.",
    "quarantine_envelopes": "Envelopes in quarantine.",
    "quarantine_oldest_seconds": "Age of the oldest envelope in quarantine, 0 when empty.",
    "permissions_gate_epoch": "Epoch of the permissions in the database.",
    "clock_offset_seconds": "This machine's clock minus the database's.",
}
_CAPACITY: Final = "database_capacity_bytes"
_CAPACITY_TEXT: Final = "What the telemetry database may grow to, as configured; absent when not."
_LIMITS: Final = postgres.Limits(statement_ms=5000, lock_ms=1000)
_log = Log("ingest.storage.monitor")


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is watched beside the work."""

    every_s: Annotated[float, Meta(gt=0)] = 30.0
    """Least time between two looks at the database; scrapes in between see the last one."""
    database_capacity_bytes: Annotated[int, Meta(ge=0)] = 0
    """What the database may grow to, for the alert that it fills up; 0 for unknown."""


class DatabaseMonitor(Collector):
    """
    Looks at the database when it is scraped, over a short connection of its own.

    A database that is away makes the numbers absent, never old.

    Args:
        conninfo: What to connect with.

        settings: How often.

        now: Seconds since 1970.

        monotonic: Seconds of a clock that does not go back: one that was set back must not have
            an old look shown for as long.
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
        """Yield what there may be."""
        for name, text in {**_TEXTS, _CAPACITY: _CAPACITY_TEXT}.items():
            yield GaugeMetricFamily(_P + name, text)

    def collect(self) -> Iterable[Metric]:
        """Yield what there is."""
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
