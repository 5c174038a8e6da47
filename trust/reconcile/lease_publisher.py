"""
Publishes leases: completes unfinished changes, renews ending leases, retains all at the
broker.

The publisher derives every step from the vault, and every step may be repeated; so a crash at any
instruction costs only time. A gateway with a fault is set aside, with its cause in the vault, and
delays no other gateway.
"""

import asyncio
import datetime as dt
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from runtime.logs import Log, describe
from trust.config import DatabaseSettings
from trust.domain.units import Cause, Failure, UnitKind, Work, back_off, job
from trust.errors import BrokerUnavailable, TelemetryUnavailable, Unavailable
from trust.metrics import Metrics
from trust.ports import Broker, Channel, SealedLease
from trust.reconcile.padding import Padding
from trust.reconcile.publication_register import PublicationRegister
from trust.reconcile.reconciler import Reconciler
from trust.reconcile.suspects import Suspects
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault
from trust.vault.vault import Listener, listen

T = TypeVar("T")

_GROUP: Final = 100
"""How many agents are reconciled in one transaction; ingest waits that long."""
_ROUND_S: Final = 1.0
_MAX_BACK_OFF_S: Final = 15.0
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 0.4
CLEARING: Final = "clear-telemetry"
"""The name of the job that checks whether telemetry may be written after a start or a restore."""
LEASE_KEYS: Final = "lease-keys"
"""The name of the job that writes missing lease keys to the telemetry database."""
_log: Final = Log("trust.reconcile.lease_publisher")


class LeasePublisher:
    """
    Publishes leases to the broker, as long as no other process does.

    Args:
        vault: A vault connection that only this publisher uses, from its thread.

        reconciler: A reconciler with that vault and its own telemetry connection.

        broker: The broker that retains the leases.

        listen_to: The vault's settings, for the listener's connection.

        metrics: The metrics that the publisher updates.

        repair_after: How long a command may take before the publisher completes its change.
    """

    def __init__(
        self,
        vault: Vault,
        reconciler: Reconciler,
        broker: Broker,
        *,
        listen_to: DatabaseSettings,
        metrics: Metrics,
        repair_after: dt.timedelta,
    ) -> None:
        self._vault = vault
        self._register = PublicationRegister(vault, metrics, at_once=_GROUP)
        self._reconciler = reconciler
        self._broker = broker
        self._listen_to = listen_to
        self._metrics = metrics
        self._repair_after = repair_after
        self._clock = time.monotonic
        self._doubt = Suspects()
        self._closures = 0
        self._are_keys_written = False
        # The jobs that are known not to be set aside; the process before may have set jobs aside.
        self._well: frozenset[str] = frozenset()
        self._closed_until = 0.0
        # There is one thread: a cancelled call ends before the next call uses the connections.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lease-publisher")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish leases until *stop*, and try again after every failure."""
        working = asyncio.create_task(self._work_for_ever(), name="lease-publisher")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _work_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                async with listen(self._listen_to) as listener:
                    self._metrics.connected.labels("vault").set(1)
                    await _wait_to_be_publisher(listener)
                    async with self._broker.connect() as channel:
                        failures = 0
                        await self._serve(listener, channel)
            except Unavailable as exc:
                failures += 1
                self._count_failure(exc)
            finally:
                for to in ("vault", "broker", "telemetry"):
                    self._metrics.connected.labels(to).set(0)
            # Full jitter spreads the reconnections after an outage.
            await asyncio.sleep(
                random.uniform(0, min(_MAX_BACK_OFF_S, 0.1 * 2 ** min(failures, 10)))  # noqa: S311
            )

    def _count_failure(self, exc: Unavailable) -> None:
        of = _server_of(exc)
        self._metrics.failures.labels(of).inc()
        _log.warning("out_of_reach", what=of, error=describe(exc), why=exc.cause)

    async def _serve(self, listener: Listener, channel: Channel) -> None:
        self._metrics.connected.labels("broker").set(1)
        _log.info("connected", to="broker")
        # This belongs to one connection: the broker sends its retained messages at each start.
        padding = Padding(monotonic_s=self._clock)
        working = asyncio.create_task(self._work(listener, channel, padding), name="work")
        closing = asyncio.create_task(channel.hear(padding.heard), name="closed")
        try:
            await asyncio.wait({working, closing}, return_when=asyncio.FIRST_COMPLETED)
            # A lost connection ends both, and what listens knows the cause.
            for ended in (closing, working):
                if ended.done():
                    ended.result()
            raise BrokerUnavailable("the connection was lost")
        finally:
            for task in (working, closing):
                task.cancel()
            await asyncio.gather(working, closing, return_exceptions=True)

    async def _work(self, listener: Listener, channel: Channel, padding: Padding) -> None:
        self._doubt.connected()
        await self._in_thread(self._note_convicted)
        self._are_keys_written = False
        # New leases come first. Then all leases are published again, because the broker may have
        # lost retained ones. The two alternate, so that an old lease is never published after a
        # newer one.
        after: str | None = ""
        while True:
            await self.publish(channel)
            if agents := padding.take(_GROUP):
                await self._in_thread(lambda a=agents: self._register.note_padded(a))  # type: ignore[misc]
            await self._reconcile()
            await self.publish(channel)
            if after is not None:
                after = await self._publish_again(channel, after=after)
            else:
                # A lease over which a connection was lost comes last, when all other gateways have
                # theirs.
                self._doubt.again(await self._in_thread(self._register.due_again))
                await self._publish_alone(channel, self._doubt.last_alone)
            await listener.heard(timeout_s=_ROUND_S if after is None else 0)

    async def _reconcile(self) -> None:
        if not await self._in_thread(self._may_write):
            return
        if not self._are_keys_written:
            write = self._reconciler.write_lease_keys
            await self._in_thread(lambda: self._attempt_job(LEASE_KEYS, write))
            self._are_keys_written = True
        while agents := await self._in_thread(self._bring_some):
            self._metrics.brought.inc(agents)
            _log.info("brought", agents=agents)
        self._metrics.connected.labels("telemetry").set(1)

    def _may_write(self) -> bool:
        """Tell whether telemetry may be written to. Leases are published in both cases."""
        if self._clock() < self._closed_until:
            return False
        is_open = self._attempt_job(CLEARING, self._reconciler.check)
        self._closures = 0 if is_open else self._closures + 1
        if not is_open:
            wait = back_off(self._closures, jitter=random.random())  # noqa: S311
            self._closed_until = self._clock() + wait.total_seconds()
            self._metrics.connected.labels("telemetry").set(0)
        return is_open

    def _attempt_job(self, name: str, work: Callable[[], object]) -> bool:
        """Run *work*, the job *name*, isolated from other jobs; return whether it succeeded."""
        cause = attempt(work, kind=UnitKind.JOB)
        failures = {Failure(job(name), cause)} if isinstance(cause, Cause) else set()
        if failures or name not in self._well:
            with self._vault.transaction() as records:
                records.set_aside.replace(Work.JOB, {name: failures})
            self._well = self._well - {name} if failures else self._well | {name}
        self._metrics.count_failures(failures)
        return not failures

    def _bring_some(self) -> int:
        agents = self._reconciler.unfinished(older_than=self._repair_after, limit=_GROUP)
        if not agents:
            return 0
        done = self._reconciler.attempt(agents)
        for found in done.failures.values():
            self._metrics.count_failures(found)
        return len(agents)

    async def publish(self, channel: Channel) -> int:
        """
        Publish every lease that the broker lacks; return how many were published.

        A lease that the broker refuses, or that is too large for it, is set aside; so is a lease
        over which the connection was lost repeatedly.

        Raises:
            Unavailable: Only some leases may be published; call again later.
        """
        total = await self._publish_alone(channel, self._doubt.next_alone)
        while leases := await self._in_thread(self._unpublished):
            total += await self._hand_over(channel, leases)
        return total

    async def _publish_alone(self, channel: Channel, agents: Sequence[str]) -> int:
        total = 0
        for agent in agents:
            leases = await self._in_thread(lambda a=agent: self._register.leases_of([a]))  # type: ignore[misc]
            if not leases:
                self._doubt.passed([agent])
            else:
                total += await self._hand_over(channel, leases)
        return total

    async def _hand_over(self, channel: Channel, leases: Sequence[SealedLease]) -> int:
        """
        Publish *leases*, retained; return how many the broker accepted, and set the others
        aside.
        """
        agents = [lease.agent for lease in leases]
        try:
            refused = await channel.publish(leases)
        except (BrokerUnavailable, asyncio.CancelledError):
            # This covers cancellation too: the lost connection may be noticed before the missing
            # answer.
            self._doubt.lost(agents)
            raise
        self._doubt.passed(agents)
        await self._in_thread(lambda: self._register.save(leases, refused))
        self._metrics.published.inc(len(leases) - len(refused))
        return len(leases) - len(refused)

    async def _publish_again(self, channel: Channel, *, after: str) -> str | None:
        """
        Publish the next page of all leases; return the agent to continue after, or None at the
        end.
        """
        agents = await self._in_thread(lambda: self._register.agents_after(after))
        if not agents:
            return None
        leases = await self._in_thread(lambda: self._register.leases_of(agents))
        doubted = set(self._doubt.all)
        await self._hand_over(channel, [one for one in leases if one.agent not in doubted])
        return agents[-1]

    def _unpublished(self) -> list[SealedLease]:
        return self._register.unpublished(without=self._doubt.all)

    async def is_all_published(self) -> bool:
        """Tell whether the broker has the newest version of every lease."""
        return not await self._in_thread(self._unpublished)

    def close(self) -> None:
        """Stop the thread after its current call."""
        self._thread.shutdown()

    def _note_convicted(self) -> None:
        """Set aside the gateway whose lease makes the broker close the connection."""
        convicted = self._doubt.convicted()
        if convicted:
            self._register.set_aside(convicted, Cause.CONNECTION_LOST)
            _log.error("lease_closes_connection", agents=len(convicted))


async def _wait_to_be_publisher(listener: Listener) -> None:
    # PostgreSQL does not notify a waiting process when the lock becomes free.
    while not await listener.is_publisher():  # noqa: ASYNC110 - the event is in another process
        await asyncio.sleep(0.2)


def _server_of(error: Unavailable) -> str:
    """Return the label of the server that *error* is about."""
    if isinstance(error, BrokerUnavailable):
        return "broker"
    return "telemetry" if isinstance(error, TelemetryUnavailable) else "vault"


async def publish_once(
    lease_publisher: LeasePublisher, broker: Broker, listener: Listener, *, patience_s: float
) -> bool:
    """
    Ensure that every lease is published, by this process or by the current publisher.

    Returns:
        Whether every lease was published on return; if not, the daemon publishes the rest later.

    Raises:
        Unavailable: Only some leases may be published; call again later.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    wait_s = _FIRST_WAIT_S
    while not await listener.is_publisher():
        if await lease_publisher.is_all_published():
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
    try:
        if not await lease_publisher.is_all_published():
            async with broker.connect() as channel:
                await lease_publisher.publish(channel)
    finally:
        await listener.retire()
    return True
