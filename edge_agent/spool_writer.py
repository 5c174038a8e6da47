"""
Writes to the spool: appends, purges and evicts.

A flush that cannot be appended is kept in memory until the disk works again. Until then the caller
must not pass another one.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from edge_agent.errors import SpoolError
from edge_agent.lease.leases import Leases
from edge_agent.metrics import Metrics
from edge_agent.pipeline.pipeline import Flush
from edge_agent.ports import Amount, KeptTime, Removed, Shortage, Spool
from edge_agent.spool.seal import Seal
from edge_agent.uplink.uplink import Uplink
from runtime.logs import Log, describe
from wire.sealing import DEFAULT_BUCKET_BYTES

EVERY_S: Final = 5.0
"""How often to save checkpoints without an envelope, and to look for old envelopes."""

_log = Log("agent.keeper")


class SpoolWriter:
    """
    Appends, purges and evicts. What fails is tried again at the next call.

    Args:
        clock, spool: The ports.

        seal: Seals the bodies that are appended.

        leases: Name the handles that may be kept. The lease itself is saved here too.

        uplink: Is notified of new and of removed envelopes.

        metrics: The counters of this agent.

        max_age_s: How long an envelope may wait in the spool.
    """

    def __init__(  # noqa: PLR0913 - everything that it stands on, once
        self,
        *,
        clock: KeptTime,
        spool: Spool,
        seal: Seal,
        leases: Leases,
        uplink: Uplink,
        metrics: Metrics,
        max_age_s: float,
    ) -> None:
        self._clock = clock
        self._spool = spool
        self._seal = seal
        self._leases = leases
        self._uplink = uplink
        self._metrics = metrics
        self.max_age_s = max_age_s
        """How long an envelope may wait in the spool. May be replaced at any time."""
        self._unkept: Flush | None = None
        self._kept_at = float("-inf")
        self._must_purge = False

    @property
    def is_stuck(self) -> bool:
        """Whether a flush is not durable yet."""
        return self._unkept is not None

    @property
    def is_time(self) -> bool:
        """Whether it is time to save checkpoints and to evict by age, without a new flush."""
        return self._clock.now() - self._kept_at >= EVERY_S

    def obey(self, handles: Collection[bytes]) -> int:
        """
        Keep only *handles* from now on; the next `tidy` purges the spool.

        Returns:
            The number of observations that were dropped from memory.
        """
        self._must_purge = True
        if self._unkept is None:
            return 0
        before = sum(map(len, self._unkept.bodies))
        self._unkept = self._unkept.of_handles(handles)
        return before - sum(map(len, self._unkept.bodies))

    def take(self, flush: Flush) -> None:
        """Accept *flush*; the next `keep` makes it durable."""
        self._unkept = flush if self._unkept is None else self._unkept.and_then(flush)

    async def keep(self) -> dict[str, int]:
        """Make the accepted flush durable; return the cursors that are durable now."""
        flush = self._unkept
        if flush is None:
            return {}
        try:
            if flush.bodies or flush.marks:
                await self._append(flush)
        except SpoolError as exc:
            self._failed(exc)
            return {}
        self._unkept = None
        self._kept_at = self._clock.now()
        return flush.cursors

    async def _append(self, flush: Flush) -> None:
        held = self._leases.held
        bucket_bytes = DEFAULT_BUCKET_BYTES if held is None else held.bucket_bytes
        sealed = [
            # Sealed again at the next try: the sequence of a failed append is not reused.
            self._seal.seal(body, sequence=self._spool.take_sequence(), bucket_bytes=bucket_bytes)
            for body in flush.bodies
        ]
        went = await self._spool.append(sealed, flush.marks, now_ms=self._clock.now_ms())
        self._metrics.appended(Amount(len(sealed), sum(map(len, flush.bodies))))
        if sealed:
            self._uplink.wake()
        self._given_up(went.evicted, went.shortage)

    async def tidy(self) -> None:
        """Save the lease on disk, and purge the handles that it does not name."""
        held = self._leases.held
        if held is not None and not self._leases.is_saved:
            try:
                await asyncio.to_thread(self._leases.save)
            except OSError as exc:
                _log.error("lease_not_saved", error=describe(exc))
        if held is not None and self._must_purge:
            try:
                purged = await self._spool.purge_all_but({grant.handle for grant in held.grants})
            except SpoolError as exc:
                self._failed(exc)
                return
            self._must_purge = self._spool.has_remains
            if self._must_purge:
                _log.warning("purge_unfinished")
            self._given_up(purged, "withdrawn")

    async def evict(self) -> None:
        """Give up envelopes that have waited too long, by a time that is certainly past."""
        # Not by the machine's clock: if that were ahead for one second, everything would be lost.
        oldest_ms = self._clock.sure_ms() - int(self.max_age_s * 1000)
        first_ms = self._spool.stats().oldest_ms
        if first_ms is None or first_ms >= oldest_ms:
            return
        try:
            evicted = await self._spool.evict_older_than(oldest_ms, now_ms=self._clock.now_ms())
        except SpoolError as exc:
            self._failed(exc)
            return
        self._given_up(evicted, Shortage.AGE)

    def _given_up(self, removed: Removed, reason: str) -> None:
        if removed.sequences:
            self._metrics.purged(removed.amount, reason=reason)
            _log.warning("given_up", reason=reason, envelopes=removed.amount.envelopes)
            self._uplink.dropped(removed.sequences)

    def _failed(self, error: SpoolError) -> None:
        self._metrics.spool_errors.inc()
        _log.error("spool_failed", error=describe(error))
