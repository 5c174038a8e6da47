"""Stops ingest in phases of a scenario, so that a backlog gathers at the broker."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence

from simulators.fleet.scenario.scenario import Scenario


class IngestPause:
    """
    Stops processes in the phases that say so, and continues them afterwards.

    Args:
        scenario: The scenario that is played.

        pids: The processes of ingest; empty if this program did not start them.

        note: Called with a sentence for each signal that could not be sent.

        send: Sends a signal to a process.
    """

    def __init__(
        self,
        scenario: Scenario,
        pids: Sequence[int],
        *,
        note: Callable[[str], None],
        send: Callable[[int, int], None] = os.kill,
    ) -> None:
        self._scenario = scenario
        self._pids = pids
        self._note = note
        self._send = send
        self._is_stopped = False

    async def play(self, starts_at: float) -> None:
        """Play all phases, the first from *starts_at* on, in seconds since 1970."""
        if not self._pids:
            self._note("ingest was not stopped, because it is not ours")
            return
        at = starts_at
        try:
            for phase in self._scenario.phases:
                await asyncio.sleep(max(0.0, at - time.time()))
                self._be(is_stopped=phase.ingest_stopped)
                at += phase.duration_s
            await asyncio.sleep(max(0.0, at - time.time()))
        finally:
            # Processes must not stay stopped, whatever ends the run.
            self._be(is_stopped=False)

    def _be(self, *, is_stopped: bool) -> None:
        if is_stopped == self._is_stopped:
            return
        self._is_stopped = is_stopped
        for pid in self._pids:
            try:
                self._send(pid, signal.SIGSTOP if is_stopped else signal.SIGCONT)
            except ProcessLookupError:
                self._note("ingest could not be stopped, because it has ended")
