"""
Time limits for sessions of readers and dashboards, which these roles cannot lift themselves.

Each second the telemetry database ends the sessions whose statement or transaction takes too long
(`vv.end_sessions`). The function can end only sessions of these roles.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runtime.logs import Log, describe
from trust.config import DatabaseSettings
from trust.errors import TelemetryUnavailable, TrustError
from trust.metrics import Metrics
from trust.vault.database import DatabaseLink

_EVERY_S: Final = 1.0
_SILENT_S: Final = 60.0
_BOUND: Final = "SET LOCAL statement_timeout = '5s'"
_END: Final = "SELECT cause, sessions FROM vv.end_sessions()"
_log: Final = Log("trust.telemetry.session_limits")


class SessionLimits:
    """
    Ends sessions in its own thread and over its own connection, so that no other work delays it.

    Args:
        settings: The address of the telemetry database.

        metrics: Receive the number of ended sessions by cause, and the time of each look.

        every_s: Seconds between two looks.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        metrics: Metrics,
        *,
        every_s: float = _EVERY_S,
    ) -> None:
        self._link = DatabaseLink(settings, section="telemetry", error=TelemetryUnavailable)
        self._metrics = metrics
        self._every_s = every_s
        self._stop = threading.Event()
        self._warned_at = float("-inf")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look for sessions over their limits, every `every_s` seconds, until the block ends."""
        thread = threading.Thread(target=self._run, name="session limits", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.look()
            except TrustError as exc:
                self._warn(exc)
        self.close()

    def close(self) -> None:
        """Close the connection to the telemetry database."""
        self._link.close()

    def _warn(self, exc: TrustError) -> None:
        # At most once a minute: an unreachable database would otherwise fill the log.
        now = time.monotonic()
        if now - self._warned_at >= _SILENT_S:
            self._warned_at = now
            _log.warning("sessions_not_limited", error=describe(exc))

    def look(self) -> None:
        """
        End all sessions that are over their limits, and count them by cause.

        Raises:
            TelemetryUnavailable: The database is out of reach or refuses.
        """
        with self._link.transaction() as connection:
            connection.execute(_BOUND)
            found = connection.execute(_END).fetchall()
        for cause, sessions in found:
            self._metrics.note_ended(cause, sessions)
            _log.info("sessions_ended", cause=cause, sessions=sessions)
        self._metrics.note_done("limited")
