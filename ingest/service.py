"""The main loop of ingest over its ports: receive, open, decide, commit, acknowledge."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Sequence
from typing import Final

from ingest.admission.decide import ClockRules
from ingest.admission.opening import Opening
from ingest.admission.permissions import Changes, Permissions
from ingest.committer import Clocks, Committer, Decided
from ingest.metrics import Metrics
from ingest.ports import Receiver, Store
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.settle import Settlements
from ingest.values.batch import Batch, FlushLimits
from ingest.values.delivery import Delivery, Opened
from runtime.logs import Log

_GATHER_S: Final = 0.002
"""How long deliveries are gathered before they are opened."""
_AT_ONCE: Final = 512
"""Number of envelopes opened before other tasks run: about two milliseconds of work."""
_STOP_TIMEOUT_S: Final = 20.0
"""How long a stop waits for a database that is away."""
_STATES: Final = "vv1/state/"

_log = Log("ingest.service")


class Service:
    """
    Moves deliveries from the receiver to the stores, and acknowledges each after its COMMIT.

    Batches overlap: while some are committed, the next is received, opened and decided.

    Args:
        receiver: Source of deliveries.

        stores: Stores with a connection each: while one commits, another writes.

        opening: Opens deliveries.

        permissions: The permissions; the reader of permissions updates them as well.

        settlements: The settled sequences of each spool.

        sender: Sends receipts.

        metrics: Counts deliveries and results.

        limits: When a flush is due.

        clock_rules: How far from its arrival an observation may have been measured.

        clocks: The system clock and the monotonic clock.

        chance: Source of the jitter of retries.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over every part once, by name
        self,
        *,
        receiver: Receiver,
        stores: Sequence[Store],
        opening: Opening,
        permissions: Permissions,
        settlements: Settlements,
        sender: ReceiptSender,
        metrics: Metrics,
        limits: FlushLimits,
        clock_rules: ClockRules,
        clocks: Clocks,
        chance: random.Random,
    ) -> None:
        self._receiver = receiver
        self._stores = stores
        self._idle: asyncio.Queue[Store] = asyncio.Queue()
        for store in stores:
            self._idle.put_nowait(store)
        self._opening = opening
        self._sender = sender
        self._metrics = metrics
        self._clocks = clocks
        self._arrived: deque[Delivery] = deque()
        self._batch = Batch(limits)
        self._committer = Committer(
            receiver=receiver,
            permissions=permissions,
            settlements=settlements,
            sender=sender,
            metrics=metrics,
            clock_rules=clock_rules,
            clocks=clocks,
            chance=chance,
            set_aside=self._batch.set_aside,
            on_settled=self._resume,
            on_answered=self._release,
        )
        self._has_work = asyncio.Event()
        self._committing: set[asyncio.Task[None]] = set()
        self._held = 0
        self._generation = 0
        self._is_stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """
        Run until *stop* is set; then commit and acknowledge what is held, and send all receipts.

        Raises:
            Unusable: The database is set up wrongly.
        """
        async with asyncio.TaskGroup() as tasks:
            collecting = tasks.create_task(self._collect(), name="collect")
            telling = tasks.create_task(self._sender.run(), name="receipts")
            flushing = tasks.create_task(self._flush_in_turns(tasks), name="flush")
            await stop.wait()
            self._receiver.stop_receiving()
            collecting.cancel()
            self._arrived.extend(self._receiver.take())
            self._take(self._arrived)
            self._is_stopping = True
            self._has_work.set()
            _, unfinished = await asyncio.wait([flushing], timeout=_STOP_TIMEOUT_S)
            if unfinished:
                # The database is away. The broker resends what is not acknowledged.
                _log.warning("stopped_unflushed", envelopes=self._held)
                for task in (flushing, *self._committing):
                    task.cancel()
            telling.cancel()
        self._sender.send_all()

    async def _collect(self) -> None:
        while True:
            self._arrived.extend(await self._receiver.receive())
            # Opening a full window takes milliseconds, during which no COPY would get data.
            while self._arrived:
                some = min(len(self._arrived), _AT_ONCE)
                self._take([self._arrived.popleft() for _ in range(some)])
                await asyncio.sleep(0)
            # Envelopes that arrive one by one are opened several at a time.
            await asyncio.sleep(_GATHER_S)

    def _take(self, arrived: Sequence[Delivery]) -> None:
        envelopes = [one for one in arrived if not one.topic.startswith(_STATES)]
        if len(envelopes) < len(arrived):
            states = [one for one in arrived if one.topic.startswith(_STATES)]
            for delivery in states:
                self._sender.heard(delivery)
            # In one write: after a reconnect the broker sends the states of all gateways.
            self._receiver.settle(states)
        self._metrics.note_received(len(envelopes))
        self._held += len(envelopes)
        # The broker resends deliveries of older connections: keeping them would make duplicates.
        generation = self._receiver.generation
        if generation != self._generation:
            self._generation = generation
            self._abandon(self._batch.forget_older(generation))
        fresh = [one for one in envelopes if one.generation == generation]
        self._abandon(len(envelopes) - len(fresh))
        if fresh:
            self._gather(self._opening.open_all(fresh))

    def _abandon(self, count: int) -> None:
        self._metrics.note_abandoned(count)
        self._release(count)

    def _release(self, count: int) -> None:
        self._held -= count

    def _gather(self, opened: Sequence[Opened]) -> None:
        now = self._clocks.monotonic_s()
        is_first = not len(self._batch)
        self._batch.extend(opened, now=now)
        # While the flush waits for the age of its first delivery, further ones need not wake it.
        if is_first or self._batch.due_in_s(now=now) == 0:
            self._has_work.set()

    def _resume(self) -> None:
        """Gather the deliveries that were set aside until a flush was settled."""
        if self._batch.has_set_aside:
            self._gather(self._batch.resume())

    async def _flush_in_turns(self, tasks: asyncio.TaskGroup) -> None:
        while (opened := await self._next()) is not None:
            due_at = self._clocks.monotonic_s()
            decided = self._committer.decide(opened)
            store = await self._idle.get()
            task = tasks.create_task(self._commit_on(store, decided, due_at), name="commit")
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
        if self._committing:
            await asyncio.wait(self._committing)

    async def _next(self) -> list[Opened] | None:
        """Return the next batch when it is due; None when stopping and nothing is left."""
        while True:
            self._has_work.clear()
            wait_s = self._batch.due_in_s(now=self._clocks.monotonic_s())
            if wait_s == 0 or (self._is_stopping and len(self._batch)):
                return self._batch.take()
            if self._is_stopping and not self._batch.has_set_aside:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._has_work.wait()

    async def _commit_on(self, store: Store, decided: Decided, due_at: float) -> None:
        """Commit *decided* on *store*, which is idle afterwards."""
        try:
            await self._committer.commit(store, decided, due_at)
        finally:
            self._idle.put_nowait(store)

    async def open(self) -> None:
        """
        Return once all stores are open.

        Raises:
            Unusable: The database is set up wrongly.
        """
        for store in self._stores:
            await self._committer.patiently(store.open)

    def apply(self, changes: Changes) -> None:
        """Apply *changes* to the permissions."""
        self._committer.apply(changes)
