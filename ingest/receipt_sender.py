"""Sends receipts to agents, and reads from their states which form of receipt they understand."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from ingest.admission.permissions import Changes
from ingest.gateway_counters import UnreadableState
from ingest.metrics import Metrics
from ingest.ports import Receiver
from ingest.receipts.floors import Floors
from ingest.receipts.receipts import Receipts
from ingest.receipts.settle import Settlements
from ingest.values.delivery import Delivery, EnvelopeId, Spool
from wire import state, topics
from wire.errors import WireError

_AT_ONCE: Final = 64
"""Receipts written before other tasks run: the first receipt to an agent costs an X25519."""


class ReceiptSender:
    """
    Sends each receipt when it is due and its agent is known to understand it.

    Args:
        receiver: Publishes receipts.

        settlements: The settled sequences of each spool, and the receipts that are due.

        receipts: Encodes receipts in the form that each agent reads.

        metrics: Counts receipts and ignored states.

        monotonic_s: A monotonic clock, s.

        is_ours: Whether this process settles the envelopes of an agent. All processes receive the
            states of all agents.
    """

    def __init__(
        self,
        receiver: Receiver,
        settlements: Settlements,
        receipts: Receipts,
        metrics: Metrics,
        *,
        monotonic_s: Callable[[], float],
        is_ours: Callable[[str], bool],
    ) -> None:
        self._receiver = receiver
        self._settlements = settlements
        self._receipts = receipts
        self._floors = Floors(settlements, receipts.judge_floor, on_ignored=metrics.ignored_floor)
        self._metrics = metrics
        self._now = monotonic_s
        self._is_ours = is_ours
        self._owes = asyncio.Event()

    async def run(self) -> None:
        """Send receipts as they are due, until cancelled."""
        while True:
            self._owes.clear()
            wait_s = self._settlements.due_in_s(now=self._now())
            if wait_s is None:
                await self._owes.wait()
            else:
                await asyncio.sleep(wait_s)
            due = self._settlements.take_due(now=self._now())
            for start in range(0, len(due), _AT_ONCE):
                self._send(self._receipts.write(due[start : start + _AT_ONCE]))
                await asyncio.sleep(0)

    def send_all(self) -> None:
        """Send all receipts at once, due or not, because the process ends."""
        due = self._settlements.take_due(now=self._now(), everything=True)
        self._send(self._receipts.write(due))

    def _send(self, written: list[tuple[str, bytes]]) -> None:
        for agent, payload in written:
            self._receiver.publish(topics.receipt(agent), payload)
        self._metrics.receipts.inc(len(written))
        self._metrics.show_waiting(self._receipts.waiting)

    def settled(self, identities: Iterable[EnvelopeId]) -> Collection[Spool]:
        """Settle *identities*, whose outcome is committed; return their spools."""
        spools = self._settlements.settle(identities, now=self._now())
        self._owes.set()
        return spools

    def learned(self, spools: Sequence[Spool]) -> None:
        """
        Prepare receipts of *spools*, whose settled sequences were loaded from the database.

        Keys are agreed on here, like the session key before the first flush of a gateway, so that
        no receipt is late because of it. Floors that were told of the spools before are applied.
        """
        for spool in spools:
            self._floors.learned(spool, now=self._now())
        self._receipts.prepare([agent for agent, _ in spools])

    def changed(self, changes: Changes) -> None:
        """Send the receipts and apply the floors that waited for a lease key in *changes*."""
        if self._floors.has_keyless and len(changes.agents):
            known = (f"{word:016x}" for word in changes.agents["agent"].tolist())
            self._floors.recognised(known, now=self._now())
            self._owes.set()
        if self._receipts.has_waiting and len(changes.agents):
            agents = (f"{word:016x}" for word in changes.agents["agent"].tolist())
            self._settlements.owe(self._receipts.recognised(agents), now=self._now())
            self._owes.set()

    def heard(self, delivery: Delivery) -> None:
        """Take the state of an agent. No decision about observations depends on a state."""
        try:
            agent = topics.parse_state(delivery.topic)
        except WireError:
            self._metrics.unreadable_state(UnreadableState.TOPIC)
            return
        try:
            told = state.decode(delivery.payload)
        except WireError:
            self._count_unreadable(agent, len(delivery.payload))
            return
        self._metrics.fleet.note(agent, told)
        if not self._is_ours(agent):
            return
        now = self._now()
        if self._receipts.heard(agent, reads_proven=told.does_read(state.RECEIPT_2)):
            self._settlements.owe([agent], now=now)
        for spool in told.spools:
            self._floors.told(agent, spool, now=now)
        self._owes.set()

    def _count_unreadable(self, agent: str, payload_bytes: int) -> None:
        # An empty payload removes a retained state. All processes receive all states, and only the
        # process that is responsible for the agent counts an unreadable one.
        if not payload_bytes or not self._is_ours(agent):
            return
        is_too_large = payload_bytes > state.MAX_STATE_BYTES
        self._metrics.unreadable_state(
            UnreadableState.TOO_LARGE if is_too_large else UnreadableState.MALFORMED
        )
