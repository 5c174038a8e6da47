"""Publishes the envelopes of the spool over a connection, in the order that the outbox decides."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from edge_agent.errors import SpoolError
from edge_agent.metrics import Metrics
from edge_agent.ports import Clock, Connection, Spool, Spooled
from edge_agent.uplink.outbox import Outbox
from runtime.logs import Log, describe
from wire.receipt import SpoolReceipt

_AT_ONCE: Final = 64
_RECEIPT_WITHIN_S: Final = 0.25
"""How long a new connection waits for the retained receipt before it publishes, in seconds."""
_SPOOL_RETRY_S: Final = 1.0
_BACKLOG_FROM: Final = 64
"""From this many waiting envelopes on, they are a backlog; fewer are simply published first."""

_log = Log("agent.uplink")


class Delivery:
    """
    The way of envelopes from the spool to the broker, over one connection after another.

    It owns the outbox, and removes nothing from the spool.

    Args:
        spool: Holds the envelopes.

        outbox: Decides the order.

        clock: The clocks of this machine.

        metrics: The counters of this agent.
    """

    def __init__(self, spool: Spool, outbox: Outbox, *, clock: Clock, metrics: Metrics) -> None:
        self._spool = spool
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._has_news = asyncio.Event()
        self._has_heard = asyncio.Event()
        self._delivering = 0
        self.drained = asyncio.Event()
        """Set while everything in the spool was published and acknowledged."""

    def wake(self) -> None:
        """Notify of new envelopes in the spool."""
        self.drained.clear()
        self._has_news.set()

    def dropped(self, sequences: Sequence[int]) -> None:
        """Notify that *sequences* were removed from the spool."""
        self._outbox.drop(list(sequences))
        self._has_news.set()

    def settled(self, part: SpoolReceipt) -> None:
        """Notify that *part* of the spool is settled."""
        self._outbox.settled(part)

    def heard(self) -> None:
        """Notify that a receipt has come."""
        self._has_heard.set()
        self._has_news.set()

    def connected(self) -> None:
        """Begin with a new connection: what was published over the last one may be lost."""
        stats = self._spool.stats()
        is_backlog = stats.depth >= _BACKLOG_FROM
        self._outbox.connected(backlog_through=stats.next_sequence - 1 if is_backlog else 0)
        self._delivering = 0
        self._has_heard.clear()
        self._has_news.set()

    def _note_progress(self) -> None:
        """Note whether everything in the spool was published."""
        stats = self._spool.stats()
        has_all_fresh = self._outbox.last >= stats.next_sequence - 1
        is_all = stats.depth == 0 or (has_all_fresh and self._outbox.backlog is None)
        if is_all and not self._delivering:
            self.drained.set()
        else:
            self.drained.clear()

    async def run(self, connection: Connection, group: asyncio.TaskGroup) -> None:
        """
        Publish over *connection* until cancelled.

        Args:
            connection: An open connection, for which `connected` was called.

            group: Runs the tasks that wait for acknowledgements.
        """
        if self._spool.stats().depth:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RECEIPT_WITHIN_S):
                    await self._has_heard.wait()
        slots = asyncio.Semaphore(_AT_ONCE)
        while True:
            self._has_news.clear()
            try:
                await self._publish_due(connection, group, slots)
                self._note_progress()
            except SpoolError as exc:
                self._metrics.spool_errors.inc()
                _log.error("spool_failed", error=describe(exc))
                await asyncio.sleep(_SPOOL_RETRY_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._outbox.due_in_s(now=self._clock.now())):
                    await self._has_news.wait()

    async def _publish_due(
        self, connection: Connection, group: asyncio.TaskGroup, slots: asyncio.Semaphore
    ) -> None:
        """Publish lost envelopes, then new ones as far as there is room."""
        lost = self._outbox.lost(now=self._clock.now())
        if lost:
            found = await self._spool.peek_at(lost)
            self._outbox.drop(sorted(set(lost) - {spooled.sequence for spooled in found}))
            self._metrics.published_again.inc(len(found))
            await self._send(found, connection, group, slots)
        await self._publish_fresh(connection, group, slots)
        while room := self._outbox.backlog_room(now=self._clock.now()):
            after, through = self._outbox.backlog or (0, 0)
            limit = min(room, _AT_ONCE)
            old = await self._spool.peek(after=after, limit=limit, through=through)
            if not old:
                self._outbox.backlog_done()
            await self._send(old, connection, group, slots)
            await self._publish_fresh(connection, group, slots)

    async def _publish_fresh(
        self, connection: Connection, group: asyncio.TaskGroup, slots: asyncio.Semaphore
    ) -> None:
        while self._outbox.room:
            limit = min(self._outbox.room, _AT_ONCE)
            new = await self._spool.peek(after=self._outbox.last, limit=limit)
            if not new:
                return
            await self._send(new, connection, group, slots)

    async def _send(
        self,
        envelopes: Sequence[Spooled],
        connection: Connection,
        group: asyncio.TaskGroup,
        slots: asyncio.Semaphore,
    ) -> None:
        """Publish *envelopes* in order, without waiting for each acknowledgement."""
        for envelope in envelopes:
            await slots.acquire()
            self._outbox.published(envelope.sequence, now=self._clock.now())
            self._metrics.published.inc()
            self._delivering += 1
            group.create_task(self._deliver(envelope, connection, slots), name="deliver")

    async def _deliver(
        self, envelope: Spooled, connection: Connection, slots: asyncio.Semaphore
    ) -> None:
        await connection.publish_envelope(envelope.payload)
        self._delivering -= 1
        self._note_progress()
        slots.release()
