"""Decides about batches of deliveries, commits them, and acknowledges what is committed."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec

from ingest.admission.admit import Admission, admit, owners_of
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings, Reservation
from ingest.admission.permissions import JSON, Changes, Permissions
from ingest.admission.plan import STORED, Plan, make_plan
from ingest.admission.replan import replan
from ingest.errors import Poisoned, Unavailable, Undecided, Unusable
from ingest.metrics import Metrics
from ingest.ports import Receiver, Store, Stored
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.settle import Settlements
from ingest.values.clones import Clones
from ingest.values.delivery import Opened, Spool
from runtime.backoff import Backoff
from runtime.logs import Log

_MAX_ROUNDS: Final = 4
"""How often deliveries that must wait are taken out of a batch before the rest is decided."""
_AT_ONCE: Final = 64
"""Gateways whose receipts are prepared before other tasks run: each may cost an X25519."""

_log = Log("ingest.committer")
T = TypeVar("T")


class Clocks(msgspec.Struct, frozen=True):
    """The system clock and the monotonic clock, in one place so that they are not confused."""

    now_ms: Callable[[], int]
    """The system clock, ms since 1970."""
    monotonic_s: Callable[[], float]
    """A monotonic clock, s."""


class Decided(msgspec.Struct, frozen=True, eq=False):
    """A plan to write, and the intervals reserved for it until it is settled."""

    plan: Plan
    reserved: Reservation


class Committer:
    """
    Commits batches, and acknowledges each delivery after its COMMIT.

    Several batches may be committed at the same time, each on a store of its own.

    Args:
        receiver: Takes the acks.

        permissions: The permissions that this process knows.

        settlements: The settled sequences of each spool.

        sender: Sends receipts.

        metrics: Counts results and retries.

        clock_rules: How far from its arrival an observation may have been measured.

        clocks: The system clock and the monotonic clock.

        chance: Source of the jitter of retries.

        set_aside: Keeps deliveries that must wait until another flush is settled.

        on_settled: Called after each reservation ends; deliveries that were set aside may be
            decided again.

        on_answered: Called with the number of deliveries that were acknowledged.
    """

    def __init__(  # noqa: PLR0913 - the service hands over every part once, by name
        self,
        *,
        receiver: Receiver,
        permissions: Permissions,
        settlements: Settlements,
        sender: ReceiptSender,
        metrics: Metrics,
        clock_rules: ClockRules,
        clocks: Clocks,
        chance: random.Random,
        set_aside: Callable[[Sequence[Opened]], None],
        on_settled: Callable[[], None],
        on_answered: Callable[[int], None],
    ) -> None:
        self._receiver = receiver
        self._permissions = permissions
        self._settlements = settlements
        self._sender = sender
        self._metrics = metrics
        self._clock_rules = clock_rules
        self._clocks = clocks
        self._chance = chance
        self._set_aside = set_aside
        self._on_settled = on_settled
        self._on_answered = on_answered
        self._last = LastReadings()
        self._clones = Clones(
            on_sign=metrics.clone_sign,
            may_alternate=lambda agent: permissions.peers([agent])[0][0] == JSON,
        )

    def decide(self, opened: Sequence[Opened], *, is_poison: bool = False) -> Decided:
        """Decide about *opened*, and set aside those that must wait for other deliveries."""
        reserved = self._last.reserve()
        admission = self._admit(opened, reserved)
        for _ in range(_MAX_ROUNDS):
            if not admission.waiting:
                break
            waiting = set(admission.waiting)
            self._set_aside([opened[index] for index in admission.waiting])
            opened = [one for index, one in enumerate(opened) if index not in waiting]
            reserved.release()
            admission = self._admit(opened, reserved)
        return Decided(make_plan(admission, opened, is_poison=is_poison), reserved)

    def _admit(self, opened: Sequence[Opened], reserved: Reservation) -> Admission:
        return admit(
            opened,
            permissions=self._permissions,
            last=reserved,
            clock=self._clock_rules,
            now_ms=self._clocks.now_ms(),
        )

    async def commit(self, store: Store, decided: Decided, due_at: float) -> None:
        """
        Commit *decided*, with any number of retries, and acknowledge its deliveries.

        Args:
            store: A store that no other commit uses.

            decided: The plan.

            due_at: When the flush was due, s of the monotonic clock.

        Raises:
            Unusable: The database is set up wrongly.
        """
        opened = decided.plan.opened
        if not opened:
            self._settle(decided.reserved, None)
            return
        try:
            stored = await self.patiently(lambda: self._flush(store, decided))
        except Undecided:
            self._settle(decided.reserved, opened)
            await self.commit(store, self.decide(opened), due_at)
            return
        except Poisoned as error:
            self._settle(decided.reserved, opened)
            await self._bisect(store, decided.plan, due_at, error)
            return
        self._settle(decided.reserved, [opened[index] for index in stored.unstored])
        self._answer(stored, due_at)
        self._metrics.flush_s.observe(self._clocks.monotonic_s() - due_at)

    async def _bisect(self, store: Store, plan: Plan, due_at: float, error: Poisoned) -> None:
        """Find the envelopes that cannot be written; quarantine these, and store the others."""
        opened = plan.opened
        if len(opened) > 1:
            middle = len(opened) // 2
            for half in (opened[:middle], opened[middle:]):
                await self.commit(store, self.decide(half), due_at)
            return
        _log.warning("envelope_poisoned", error=error.cause)
        poisoned = self.decide(opened, is_poison=True)
        if poisoned.plan.verdicts == plan.verdicts:
            raise Unusable(error.cause)
        await self.commit(store, poisoned, due_at)

    def _settle(self, reserved: Reservation, unstored: Sequence[Opened] | None) -> None:
        """End the reservation; the readings of all its deliveries but *unstored* are stored."""
        reserved.settle(owners_of(unstored) if unstored else None)
        self._on_settled()

    async def _flush(self, store: Store, decided: Decided) -> Stored:
        plan = decided.plan
        spools = {identity.spool for identity in plan.claims}
        await self._load(store, spools)
        watermarks = self._settlements.watermarks(spools)

        def replan_under(changes: Changes) -> Plan:
            self.apply(changes)
            if self._permissions.epoch < changes.epoch:
                # A complete reading of an earlier epoch was applied since: try again later.
                raise Unavailable("the permissions are being read again")
            found = replan(
                plan,
                changes,
                admit=lambda some: self._admit(some, decided.reserved),
                now_ms=self._clocks.now_ms(),
            )
            if found.admission.waiting:
                raise Undecided("an envelope conflicts with a reading that is not stored yet")
            return found

        stored = await store.flush(plan, watermarks=watermarks, replan=replan_under)
        self._settlements.marked(watermarks)
        if stored.settled_before:
            await self._load(store, {identity.spool for identity in stored.settled_before})
        return stored

    async def _load(self, store: Store, spools: set[Spool]) -> None:
        """Load the settled sequences of those of *spools* that are not in memory."""
        unknown = self._settlements.unknown(spools)
        if not unknown:
            return
        found = await store.read_spools(unknown)
        for spool, through, runs in found:
            self._settlements.load(spool, through, runs)
        loaded = [spool for spool, _, _ in found]
        for start in range(0, len(loaded), _AT_ONCE):
            self._sender.learned(loaded[start : start + _AT_ONCE])
            await asyncio.sleep(0)

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """
        Repeat *work* with growing delays until the database is available; return its result.

        Deliveries stay unacknowledged in the meantime, so that the broker waits.
        """
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
        """Acknowledge the deliveries that are committed; receipts to their agents are due."""
        opened = stored.plan.opened
        self._receiver.settle([one.delivery for one in opened])
        self._metrics.note_stored(stored)
        self._on_answered(len(opened))
        spools = self._sender.settled(stored.plan.claims)
        if stored.fates.count(STORED) < len(stored.fates):
            spools = stored.new_spools()
        self._clones.advanced(spools, at=due_at)
        self._sender.settled(stored.settled_before)

    def apply(self, changes: Changes) -> None:
        """Apply *changes* to the permissions, and send the receipts that waited for them."""
        self._permissions.apply(changes)
        self._sender.changed(changes)
        self._metrics.epoch.set(self._permissions.epoch)
        self._metrics.permissions.set(len(self._permissions))
