"""
The courier: finishes what commands left unfinished, renews leases, and takes them to the broker.

Everything that it does is read off the vault and may be done twice; so it keeps nothing in mind,
and a crash at any instruction costs time only.
"""

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from runtime.logs import Log, describe
from trust.config import DatabaseSettings
from trust.errors import BrokerUnavailable, Tampered, TelemetryUnavailable, Unavailable
from trust.metrics import Metrics
from trust.ports import Broker, Channel, SealedLease
from trust.upkeep import Upkeep
from trust.vault import Listener, Vault, listen

T = TypeVar("T")

_GROUP: Final = 100
"""How many agents are brought up to date in one transaction: it holds up ingest for its length."""
_ROUND_S: Final = 1.0
_MAX_BACK_OFF_S: Final = 15.0
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 0.4
_log: Final = Log("trust.courier")


class Courier:
    """
    Takes leases to the broker, as long as no other process does.

    Args:
        vault: Of this courier alone: it is used from a thread.

        upkeep: On that vault, and a telemetry of this courier alone.

        broker: Where leases go.

        listen_to: Where the vault is.

        metrics: Kept up to date.

        repair_after: How long a command may take to finish its own work.
    """

    def __init__(
        self,
        vault: Vault,
        upkeep: Upkeep,
        broker: Broker,
        *,
        listen_to: DatabaseSettings,
        metrics: Metrics,
        repair_after: dt.timedelta,
    ) -> None:
        self._vault = vault
        self._upkeep = upkeep
        self._broker = broker
        self._listen_to = listen_to
        self._metrics = metrics
        self._repair_after = repair_after
        self._set_aside: set[str] = set()
        # One thread: what was cancelled half-way ends before anything else uses the connections.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="courier")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until *stop*, whatever fails meanwhile."""
        working = asyncio.create_task(self._work_for_ever(), name="courier")
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
                    await self._wait_to_be_publisher(listener)
                    async with self._broker.connect() as channel:
                        failures = 0
                        await self._serve(listener, channel)
            except Unavailable as exc:
                failures += 1
                self._count_failure(exc)
            finally:
                for to in ("vault", "broker", "telemetry"):
                    self._metrics.connected.labels(to).set(0)
            # Full jitter: after an outage, not everybody comes back at once.
            await asyncio.sleep(
                random.uniform(0, min(_MAX_BACK_OFF_S, 0.1 * 2 ** min(failures, 10)))  # noqa: S311
            )

    def _count_failure(self, exc: Unavailable) -> None:
        of = "vault"
        if isinstance(exc, BrokerUnavailable):
            of = "broker"
        elif isinstance(exc, TelemetryUnavailable):
            of = "telemetry"
        self._metrics.failures.labels(of).inc()
        _log.warning("out_of_reach", what=of, error=describe(exc))

    async def _wait_to_be_publisher(self, listener: Listener) -> None:
        # PostgreSQL tells nobody that a lock was tried for and is free now.
        while not await listener.is_publisher():  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.2)

    async def _serve(self, listener: Listener, channel: Channel) -> None:
        self._metrics.connected.labels("broker").set(1)
        _log.info("connected", to="broker")
        working = asyncio.create_task(self._work(listener, channel), name="work")
        closing = asyncio.create_task(channel.closed(), name="closed")
        try:
            await asyncio.wait({working, closing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            raise BrokerUnavailable("the connection was lost")
        finally:
            for task in (working, closing):
                task.cancel()
            await asyncio.gather(working, closing, return_exceptions=True)

    async def _work(self, listener: Listener, channel: Channel) -> None:
        # What is new first. Then everything once more, because the broker may have lost what it
        # retained; in turns, so that an old lease is never published after a newer one.
        after: str | None = ""
        while True:
            await self.publish(channel)
            await self._bring()
            await self.publish(channel)
            if after is not None:
                after = await self._publish_again(channel, after=after)
            await listener.heard(timeout_s=_ROUND_S if after is None else 0)

    async def _bring(self) -> None:
        while agents := await self._in_thread(self._bring_some):
            self._metrics.brought.inc(agents)
            _log.info("brought", agents=agents)
        self._metrics.connected.labels("telemetry").set(1)

    def _bring_some(self) -> int:
        agents = self._upkeep.unfinished(
            older_than=self._repair_after, limit=_GROUP, without=sorted(self._set_aside)
        )
        if not agents:
            self._upkeep.check()
            return 0
        try:
            self._upkeep.bring(agents)
        except Tampered:
            self._bring_each(agents)
        return len(agents)

    def _bring_each(self, agents: list[str]) -> None:
        # One record that is not ours must not end the leases of everybody else.
        for agent in agents:
            try:
                self._upkeep.bring([agent])
            except Tampered:
                self._set_aside.add(agent)
                _log.error("tampered", agents=len(self._set_aside))
        self._metrics.tampered.set(len(self._set_aside))

    async def publish(self, channel: Channel) -> int:
        """
        Publish every lease that the broker does not have; return how many.

        Raises:
            Unavailable: Some may be published; do it again later.
        """
        total = 0
        while leases := await self._in_thread(self._unpublished):
            await channel.publish(leases)
            await self._in_thread(lambda: self._save_published(leases))
            self._metrics.published.inc(len(leases))
            total += len(leases)
        return total

    async def _publish_again(self, channel: Channel, *, after: str) -> str | None:
        """Publish the next of all leases; return where to go on, or None at the end."""
        leases = await self._in_thread(lambda: self._all_leases(after))
        if not leases:
            return None
        await channel.publish(leases)
        return leases[-1].agent

    async def is_all_published(self) -> bool:
        """Tell whether the broker has every lease."""
        return not await self._in_thread(self._unpublished)

    def close(self) -> None:
        """End the thread, once it has done what it is at."""
        self._thread.shutdown()

    def _unpublished(self) -> list[SealedLease]:
        with self._vault.transaction() as records:
            unfinished, unpublished = records.backlog()
            self._metrics.unfinished.set(unfinished)
            self._metrics.unpublished.set(unpublished)
            return records.unpublished(limit=_GROUP)

    def _all_leases(self, after: str) -> list[SealedLease]:
        with self._vault.transaction() as records:
            return records.all_leases(after=after, limit=_GROUP)

    def _save_published(self, leases: list[SealedLease]) -> None:
        with self._vault.transaction() as records:
            records.save_published(leases)
        _log.debug("published", leases=len(leases))


async def publish_once(
    courier: Courier, broker: Broker, listener: Listener, *, patience_s: float
) -> bool:
    """
    See to it that every lease is published, by us or by the process that does it already.

    Returns:
        Whether all were when this returned; if not, the daemon does it later.

    Raises:
        Unavailable: Some may be published; do it again later.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    wait_s = _FIRST_WAIT_S
    while not await listener.is_publisher():
        if await courier.is_all_published():
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
    try:
        if not await courier.is_all_published():
            async with broker.connect() as channel:
                await courier.publish(channel)
    finally:
        await listener.retire()
    return True
