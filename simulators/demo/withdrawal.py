"""One withdrawal during the demo: how fast it takes effect, and that no row is stored after it."""

import asyncio
import datetime as dt
import json
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from simulators.demo import telemetry
from simulators.demo.accounts import Withdrawal
from simulators.replay.timetable import RecordLog
from simulators.stack.system import System
from simulators.stack.trust_shell import TrustShell

_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1


class WithdrawalTrial:
    """
    Withdraws a consent, and measures when the agent and ingest obey.

    Args:
        system: Runs trust, ingest and the agents.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._rows_at_commit = 0
        self._committed_at: dt.datetime | None = None
        self.result: Withdrawal | None = None
        """What was measured so far; None before the withdrawal."""

    async def run(
        self, shell: TrustShell, subject: str, purpose: str, books: Sequence[RecordLog]
    ) -> None:
        """
        Withdraw the consent of *subject* to *purpose*, and watch until it has taken effect.

        Args:
            shell: Gives commands to trust.

            subject: The subject.

            purpose: Name and version of the purpose.

            books: The records of each sensor of that person, which say when its agent let go.
        """
        reply = await asyncio.to_thread(
            shell.run, "decision", "withdraw", "--subject", subject, "--purpose", purpose
        )
        admin = self._system.databases.admin("telemetry")
        self._rows_at_commit = await asyncio.to_thread(telemetry.rows_of_withdrawn, admin)
        self._committed_at = dt.datetime.fromisoformat(reply["committed_at"])
        deadline = time.monotonic() + _WITHIN_S
        while time.monotonic() < deadline:
            self.result = await asyncio.to_thread(self._look, books)
            # On a busy machine either of the two may notice it first.
            if None not in (self.result.agent_stopped_after_s, self.result.refused_after_ms):
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    def count_rows_again(self) -> Withdrawal | None:
        """Return the result with the rows that were stored after the withdrawal until now."""
        if self.result is not None:
            found = telemetry.after_withdrawal(
                self._system.databases.admin("telemetry"), rows_at_commit=self._rows_at_commit
            )
            self.result = msgspec.structs.replace(
                self.result, rows_after_commit=found.rows_after_commit
            )
        return self.result

    def _look(self, books: Sequence[RecordLog]) -> Withdrawal:
        found = telemetry.after_withdrawal(
            self._system.databases.admin("telemetry"), rows_at_commit=self._rows_at_commit
        )
        committed_at = found.committed_at or self._committed_at
        assert committed_at is not None  # noqa: S101 - set before the first look
        committed_ms = committed_at.timestamp() * 1000
        dropped = [book.dropped_at_ms for book in books]
        stopped = [ms for ms in dropped if ms is not None]
        return Withdrawal(
            refused_after_ms=self._refused_after_ms(committed_ms),
            agent_stopped_after_s=(
                round(max((max(stopped) - committed_ms) / 1000, 0.0), 3)
                if len(stopped) == len(dropped)
                else None
            ),
            rows_after_commit=found.rows_after_commit,
            last_row_before_ms=found.last_row_before_ms,
        )

    def _refused_after_ms(self, committed_ms: float) -> float | None:
        """
        Return how many ms after the COMMIT ingest had applied a later epoch, read
        from its log.
        """
        for line in self._system.ingest_log.read_text().splitlines():
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if entry.get("action") == "permissions_applied":
                at_ms = dt.datetime.fromisoformat(entry["at"]).timestamp() * 1000
                # The times of log lines are in whole milliseconds.
                if at_ms + 1 >= committed_ms:
                    return round(max(at_ms - committed_ms, 0.0), 1)
        return None
