"""The loop over ports: receive, open, admit, flush, settle."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec

from ingest.admission.admit import Admission, admit, owners_of
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings, Reservation
from ingest.admission.opening import Opening
from ingest.admission.permissions import JSON, Changes, Permissions
from ingest.admission.plan import STORED, Plan, make_plan
from ingest.admission.replan import replan
from ingest.errors import Poisoned, Unavailable, Undecided, Unusable
from ingest.metrics import Metrics
from ingest.ports import Receiver, Store, Stored
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.settle import Settlements
from ingest.values.batch import Batch, FlushLimits
from ingest.values.clones import Clones
from ingest.values.delivery import Delivery, Opened, Spool
from runtime.backoff import Backoff
from runtime.logs import Log

_GATHER_S: Final = 0.002
"""How long what arrives is gathered before it is opened."""
_AT_ONCE: Final = 512
"""How many envelopes are opened before everybody else has a turn: two milliseconds' worth."""
_STOP_TIMEOUT_S: Final = 20.0
"""How long a stop waits for a database that is away."""

_TURNS: Final = 4
"""How often what must wait is taken out of a flush before the rest of it is as it is."""
_STATES: Final = "vv1/state/"

_log = Log("ingest.service")
T = TypeVar("T")


class Clocks(msgspec.Struct, frozen=True):
    """The two clocks, and what they must not be confused over."""

    now_ms: Callable[[], int]
    """Of the world, ms since 1970."""
    monotonic_s: Callable[[], float]
    """Only ever goes on."""


class _Decided(msgspec.Struct, frozen=True, eq=False):
    """What is to be written, and what it has reserved until it is."""

    plan: Plan
    reserved: Reservation


class Service:
    """
    Moves deliveries from the receiver to the store, and answers for each.

    Batches overlap: while some are committed, the next is received, opened and admitted.
    Nothing is acknowledged before its COMMIT.

    Args:
        receiver: Where deliveries come from.

        stores: Where observations go to, each with a connection of its own: while one commits,
            another writes.

        opening: Opens deliveries.

        permissions: What may be stored, kept fresh by somebody else as well.

        settlements: What is settled.

        sender: Tells agents of it.

        metrics: Counts.

        limits: When a flush is due.

        clock_rules: How far from its arrival an observation may have been measured.

        clocks: The time.

        chance: Where the jitter of retries comes from.
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
        self._permissions = permissions
        self._settlements = settlements
        self._sender = sender
        self._metrics = metrics
        self._clock_rules = clock_rules
        self._clocks = clocks
        self._chance = chance
        self._arrived: deque[Delivery] = deque()
        self._batch = Batch(limits)
        self._last = LastReadings()
        self._clones = Clones(
            on_sign=metrics.clone_sign,
            may_alternate=lambda agent: permissions.peers([agent])[0][0] == JSON,
        )
        self._has_work = asyncio.Event()
        self._committing: set[asyncio.Task[None]] = set()
        self._held = 0
        self._generation = 0
        self._is_stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """
        Work until *stop*; then flush, commit, acknowledge and hand over the receipts.

        Raises:
            Unusable: The database is not what it should be.
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
                # The database is away. What is not acknowledged comes again at the next start.
                _log.warning("stopped_unflushed", envelopes=self._held)
                for task in (flushing, *self._committing):
                    task.cancel()
            telling.cancel()
        self._sender.send_all()

    async def _collect(self) -> None:
        while True:
            self._arrived.extend(await self._receiver.receive())
            # Opening a full window takes milliseconds, in which nobody would feed the COPYs.
            while self._arrived:
                some = min(len(self._arrived), _AT_ONCE)
                self._take([self._arrived.popleft() for _ in range(some)])
                await asyncio.sleep(0)
            # Envelopes that come one by one are taken some at a time.
            await asyncio.sleep(_GATHER_S)

    def _take(self, arrived: Sequence[Delivery]) -> None:
        envelopes = [one for one in arrived if not one.topic.startswith(_STATES)]
        if len(envelopes) < len(arrived):
            states = [one for one in arrived if one.topic.startswith(_STATES)]
            for delivery in states:
                self._sender.heard(delivery)
            # In one write: after a reconnect the broker tells the state of every gateway.
            self._receiver.settle(states)
        self._metrics.note_received(len(envelopes))
        self._held += len(envelopes)
        # Of an older connection: will come again, and must not be counted as a duplicate then.
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
        self._held -= count

    def _gather(self, opened: Sequence[Opened]) -> None:
        now = self._clocks.monotonic_s()
        is_first = not len(self._batch)
        self._batch.extend(opened, now=now)
        # Whoever waits for the age of the first need not hear of each that joins it.
        if is_first or self._batch.due_in_s(now=now) == 0:
            self._has_work.set()

    async def _flush_in_turns(self, tasks: asyncio.TaskGroup) -> None:
        while (opened := await self._next()) is not None:
            due_at = self._clocks.monotonic_s()
            decided = self._decide(opened)
            store = await self._idle.get()
            task = tasks.create_task(self._commit_on(store, decided, due_at), name="commit")
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
        if self._committing:
            await asyncio.wait(self._committing)

    async def _next(self) -> list[Opened] | None:
        """Return the next batch once it is due; None when stopping and nothing is left."""
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

    def _decide(self, opened: Sequence[Opened], *, is_poison: bool = False) -> _Decided:
        """Decide about *opened*, without those that must wait for other flushes or each other."""
        reserved = self._last.reserve()
        admission = self._admit(opened, reserved)
        for _ in range(_TURNS):
            if not admission.waiting:
                break
            waiting = set(admission.waiting)
            self._batch.set_aside([opened[index] for index in admission.waiting])
            opened = [one for index, one in enumerate(opened) if index not in waiting]
            reserved.release()
            admission = self._admit(opened, reserved)
        return _Decided(make_plan(admission, opened, is_poison=is_poison), reserved)

    def _admit(self, opened: Sequence[Opened], reserved: Reservation) -> Admission:
        return admit(
            opened,
            permissions=self._permissions,
            last=reserved,
            clock=self._clock_rules,
            now_ms=self._clocks.now_ms(),
        )

    async def _commit_on(self, store: Store, decided: _Decided, due_at: float) -> None:
        """Commit by *store*, which is idle after it."""
        try:
            await self._commit(store, decided, due_at)
        finally:
            self._idle.put_nowait(store)

    async def _commit(self, store: Store, decided: _Decided, due_at: float) -> None:
        """Commit what was decided, whatever it takes, and answer for it."""
        opened = decided.plan.opened
        if not opened:
            self._settle(decided.reserved, None)
            return
        try:
            stored = await self._patiently(lambda: self._flush(store, decided))
        except Undecided:
            self._settle(decided.reserved, opened)
            await self._commit(store, self._decide(opened), due_at)
            return
        except Poisoned as error:
            self._settle(decided.reserved, opened)
            await self._bisect(store, decided.plan, due_at, error)
            return
        self._settle(decided.reserved, [opened[index] for index in stored.unstored])
        self._answer(stored, due_at)
        self._metrics.flush_s.observe(self._clocks.monotonic_s() - due_at)

    async def _bisect(self, store: Store, plan: Plan, due_at: float, error: Poisoned) -> None:
        """Find the envelopes that cannot be written; quarantine these, store the others."""
        opened = plan.opened
        if len(opened) > 1:
            middle = len(opened) // 2
            for half in (opened[:middle], opened[middle:]):
                await self._commit(store, self._decide(half), due_at)
            return
        _log.warning("envelope_poisoned", error=error.cause)
        poisoned = self._decide(opened, is_poison=True)
        if poisoned.plan.verdicts == plan.verdicts:
            raise Unusable(error.cause)
        await self._commit(store, poisoned, due_at)

    def _settle(self, reserved: Reservation, unstored: Sequence[Opened] | None) -> None:
        """End what was *reserved*, and take again what waited for it."""
        reserved.settle(owners_of(unstored) if unstored else None)
        if self._batch.has_set_aside:
            self._gather(self._batch.resume())

    async def _flush(self, store: Store, decided: _Decided) -> Stored:
        plan = decided.plan
        spools = {identity.spool for identity in plan.claims}
        await self._learn(store, spools)
        watermarks = self._settlements.watermarks(spools)

        def anew(changes: Changes) -> Plan:
            self.apply(changes)
            if self._permissions.epoch < changes.epoch:
                # A complete reading of before came in between: decide once it has caught up.
                raise Unavailable("the permissions are being read again")
            found = replan(
                plan,
                changes,
                admit=lambda some: self._admit(some, decided.reserved),
                now_ms=self._clocks.now_ms(),
            )
            if found.admission.waiting:
                raise Undecided("a permission met what is not stored yet")
            return found

        stored = await store.flush(plan, watermarks=watermarks, replan=anew)
        self._settlements.marked(watermarks)
        if stored.settled_before:
            await self._learn(store, {identity.spool for identity in stored.settled_before})
        return stored

    async def _learn(self, store: Store, spools: set[Spool]) -> None:
        """Have it known of each of *spools* what is settled."""
        unknown = self._settlements.unknown(spools)
        if unknown:
            for spool, through, runs in await store.read_spools(unknown):
                self._settlements.load(spool, through, runs)
                self._sender.learned(spool)

    async def open(self) -> None:
        """
        Return once the stores are open.

        Raises:
            Unusable: The database is not what it should be.
        """
        for store in self._stores:
            await self._patiently(store.open)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do *work* until the database can; the acks wait, and so the broker waits."""
        backoff = Backoff(self._chance.random, first_s=0.1, longest_s=10.0)
        while True:
            try:
                return await work()
            except Unavailable as error:
                self._metrics.retries.inc()
                wait_s = backoff.failed()
                _log.warning("flush_retried", error=error.cause, failures=backoff.failures)
                await asyncio.sleep(wait_s)

    def _answer(self, stored: Stored, due_at: float) -> None:
        """Acknowledge what is committed; owe its agents a receipt."""
        opened = stored.plan.opened
        self._receiver.settle([one.delivery for one in opened])
        self._metrics.note_stored(stored)
        self._held -= len(opened)
        spools = self._sender.settled(stored.plan.claims)
        if stored.fates.count(STORED) < len(stored.fates):
            spools = stored.new_spools()
        self._clones.advanced(spools, at=due_at)
        self._sender.settled(stored.settled_before)

    def apply(self, changes: Changes) -> None:
        """Take over what changed of the permissions, and show what is known of them."""
        self._permissions.apply(changes)
        self._sender.changed(changes)
        self._metrics.epoch.set(self._permissions.epoch)
        self._metrics.permissions.set(len(self._permissions))
