"""
Keeps a connection to the broker, publishes the spool, and receives receipts and leases.

Its `Delivery` decides what is published when. It shares the spool, where each call is a separate
transaction.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Protocol

from edge_agent.errors import BrokerError, SpoolError
from edge_agent.metrics import Metrics
from edge_agent.ports import Broker, Clock, Connection, Spool
from edge_agent.uplink.delivery import Delivery
from edge_agent.uplink.outbox import Outbox
from edge_agent.values.receipt_faults import ReceiptFault, fault_of
from runtime.backoff import Backoff
from runtime.logs import Log, describe
from wire import receipt as wire_receipt
from wire import state as wire_state
from wire.agreement import Agreement
from wire.errors import WireError
from wire.state import State

STATE_EVERY_S: Final = 30.0
STEADY_AFTER_S: Final = 5.0
"""After this many seconds a connection counts as good, and the back-off restarts."""
_NOT_YET_S: Final = 5.0
"""How often to check whether the machine's clock can judge certificates, in seconds."""
_DRAIN_S: Final = 1.0
"""How long to continue publishing after `finish`, in seconds."""

_log = Log("agent.uplink")


class UplinkHandler(Protocol):
    """The agent, as its uplink uses it."""

    def state(self, online: bool) -> State:
        """Return the state message of the agent."""
        ...

    async def take_lease(self, sealed: bytes) -> None:
        """Verify a lease that came, and adopt it if it is newer."""
        ...


class Uplink:
    """
    Publishes the spool, and removes what is settled.

    Args:
        broker: Publishes the envelopes.

        spool: Holds the envelopes.

        outbox: Decides the order.

        agreements: The keys shared with each pinned key of ingest. Only a receipt that is proven
            under one of them removes something from the spool.

        clock: The clocks of this machine.

        backoff: Pauses between attempts to connect.

        metrics: The counters of this agent.

        start_delay_s: How long to wait before the first attempt to connect.

        forget_within_s: How long settled envelopes may stay, so that many are removed in one
            transaction: each transaction writes to the disk.
    """

    def __init__(  # noqa: PLR0913 - everything that it stands on, once
        self,
        *,
        broker: Broker,
        spool: Spool,
        outbox: Outbox,
        agreements: Sequence[Agreement],
        clock: Clock,
        backoff: Backoff,
        metrics: Metrics,
        start_delay_s: float = 0.0,
        forget_within_s: float = 1.0,
    ) -> None:
        self._broker = broker
        self._spool = spool
        self._agreements = agreements
        self._clock = clock
        self._backoff = backoff
        self._metrics = metrics
        self._start_delay_s = start_delay_s
        self.forget_within_s = forget_within_s
        """May be replaced at any time."""
        self._state_changed = asyncio.Event()
        self._delivery = Delivery(spool, outbox, clock=clock, metrics=metrics)
        self._stop = asyncio.Event()
        self._leave = asyncio.Event()
        self._has_settled = asyncio.Event()
        self._faults: set[ReceiptFault] = set()
        self.is_connected = False

    def wake(self) -> None:
        """Notify the uplink of new envelopes in the spool."""
        self._delivery.wake()

    def announce(self) -> None:
        """Notify the uplink that the state has changed."""
        self._state_changed.set()

    def dropped(self, sequences: Sequence[int]) -> None:
        """Notify the uplink that *sequences* were removed, which may move the spool's floor."""
        self._delivery.dropped(sequences)
        self._state_changed.set()

    def finish(self) -> None:
        """Publish for a moment, disconnect, and return from `run`."""
        self._stop.set()
        self._leave.set()

    def renew(self) -> None:
        """Disconnect in order, and connect again."""
        self._leave.set()

    async def run(self, home: UplinkHandler) -> None:
        """Keep a connection for the agent *home* until `finish`."""
        async with asyncio.TaskGroup() as group:
            # A lost connection does not cancel it, so that everything removed is counted.
            tidying = group.create_task(self._tidy(), name="tidy")
            await self._stay_connected(home)
            tidying.cancel()

    async def _stay_connected(self, home: UplinkHandler) -> None:
        await self._pause(self._start_delay_s)
        while not self._stop.is_set():
            if self._clock.is_wrong():
                # Certificates would be judged by an impossible date.
                await self._pause(_NOT_YET_S)
                continue
            connected_at: float | None = None
            self._leave.clear()
            if self._stop.is_set():
                return
            try:
                will = wire_state.encode(home.state(False))
                async with self._broker.connect(will=will) as connection:
                    connected_at = self._clock.now()
                    await self._converse(connection, home)
            except* BrokerError as group:
                self._metrics.broker_errors.inc()
                _log.warning("broker_lost", error=describe(_first(group)))
            self._set_connected(False)
            if self._leave.is_set():
                continue  # A requested reconnect, not a failure.
            if connected_at is not None and self._clock.now() - connected_at > STEADY_AFTER_S:
                self._backoff.succeeded()
            await self._pause(self._backoff.failed())

    async def _pause(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stop.wait()

    def _set_connected(self, is_connected: bool) -> None:
        self.is_connected = is_connected
        self._metrics.connected.set(is_connected)

    async def _converse(self, connection: Connection, home: UplinkHandler) -> None:
        """Publish and listen over *connection* until it ends, or until `finish`."""
        await self._forget()
        self._delivery.connected()
        self._faults.clear()
        self._state_changed.set()
        self._set_connected(True)
        _log.info("broker_connected")
        async with asyncio.TaskGroup() as group:
            talk = group.create_task(self._talk(connection, home), name="talk")
            await self._leave.wait()
            if self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await self._delivery.drained.wait()
            talk.cancel()
        await self._forget()
        await connection.publish_state(wire_state.encode(home.state(False)))

    async def _talk(self, connection: Connection, home: UplinkHandler) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(connection, home), name="listen")
            group.create_task(self._delivery.run(connection, group), name="publish")
            group.create_task(self._report(connection, home), name="report")

    async def _listen(self, connection: Connection, home: UplinkHandler) -> None:
        async for downlink in connection.downlinks():
            if downlink.lease is not None:
                await home.take_lease(downlink.lease)
            if downlink.receipt is not None:
                self._settle(downlink.receipt)
        raise BrokerError("the broker ended the connection")

    def _settle(self, payload: bytes) -> None:
        """Settle what the receipt in *payload* covers of this spool, if ingest proves it."""
        try:
            spools = wire_receipt.decode_proven(payload, self._agreements)
        except WireError as exc:
            self._refuse(fault_of(exc))
            return
        for part in spools:
            if part.spool_id != self._spool.spool_id:
                continue
            self._spool.settle(part)
            self._delivery.settled(part)
            self._has_settled.set()
        self._delivery.heard()

    def _refuse(self, fault: ReceiptFault) -> None:
        """Ignore a receipt that ingest does not prove, and count it."""
        self._metrics.refused_receipt(fault)
        if fault not in self._faults:
            # Once for each connection, because there may be many such receipts.
            self._faults.add(fault)
            _log.warning("receipt_refused", reason=fault.value)

    async def _tidy(self) -> None:
        """Remove settled envelopes from time to time."""
        while True:
            await self._has_settled.wait()
            self._has_settled.clear()
            await asyncio.sleep(self.forget_within_s)
            await self._forget()

    async def _forget(self) -> None:
        try:
            removed = await self._spool.forget()
        except SpoolError as exc:
            # Nothing is lost: it stays noted, and the next receipt repeats it.
            self._metrics.spool_errors.inc()
            _log.error("spool_failed", error=describe(exc))
            return
        self._metrics.settled(removed.amount)

    async def _report(self, connection: Connection, home: UplinkHandler) -> None:
        """Publish the state when it changes, and at regular intervals."""
        while True:
            self._state_changed.clear()
            await connection.publish_state(wire_state.encode(home.state(True)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATE_EVERY_S):
                    await self._state_changed.wait()
            if self._broker.is_outdated():
                self.renew()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the errors in *group*, which have a common cause."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
