"""An ingest service that runs on a store in memory, and deliveries of one agent to it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.decide import ClockRules
from ingest.admission.opening import Opening
from ingest.committer import Clocks
from ingest.metrics import Metrics
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.receipts import Proofs, Receipts
from ingest.receipts.settle import Settlements
from ingest.service import Service
from ingest.values.batch import FlushLimits
from ingest.values.delivery import Delivery
from tests.fakes.ingest import (
    AGENT,
    HANDLE,
    LEASE_KEY,
    NOW_MS,
    SPOOL,
    MemoryReceiver,
    MemoryStore,
    block,
    delivery,
    knowing,
    permission,
)
from wire import agreement, receipt, state, topics
from wire.envelope import Body, encode_envelope
from wire.sealing import Opener, Sealer

KEY = X25519PrivateKey.generate()


class Running:
    """A running service with its ports."""

    def __init__(self, store: MemoryStore, *, max_envelopes: int = 1) -> None:
        self.receiver = MemoryReceiver()
        self.store = store
        self.metrics = Metrics()
        self.permissions = knowing(permission())
        settlements = Settlements(interval_s=0.001)
        now = asyncio.get_running_loop().time
        sender = ReceiptSender(
            self.receiver,
            settlements,
            Receipts(Proofs([KEY]), self.permissions.peers),
            self.metrics,
            monotonic_s=now,
            is_ours=lambda agent: True,
        )
        self.service = Service(
            receiver=self.receiver,
            stores=[store],
            opening=Opening(Opener([KEY])),
            permissions=self.permissions,
            settlements=settlements,
            sender=sender,
            metrics=self.metrics,
            limits=FlushLimits(max_envelopes=max_envelopes, max_age_s=0.01),
            clock_rules=ClockRules(),
            clocks=Clocks(lambda: NOW_MS, now),
            chance=random.Random(1),
        )

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric."""
        return self.metrics.registry.get_sample_value(f"vitalveil_ingest_{name}", labels)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the service run until *condition* holds."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - steps through the loop, never sleeps
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(store: MemoryStore, *, max_envelopes: int = 1) -> AsyncIterator[Running]:
    """Run a service until the context closes."""
    one = Running(store, max_envelopes=max_envelopes)
    stop = asyncio.Event()
    task = asyncio.create_task(one.service.run(stop))
    try:
        yield one
    finally:
        stop.set()
        await task


SHARED = agreement.of_agent(LEASE_KEY, KEY.public_key().public_bytes_raw(), AGENT)


def told(*, reads: list[str] | None = None, floor: int | None = None) -> Delivery:
    """Return a state, by default of an agent that reads proven receipts."""
    spools = []
    if floor is not None:
        proof = state.prove_floor(SPOOL, floor, SHARED)
        spools = [state.SpoolState(SPOOL.hex(), floor, 0, proof)]
    forms = ["receipt-2"] if reads is None else reads
    about = delivery(state.encode(state.State(True, "test", spools=spools, reads=forms)))
    about.topic = topics.state(AGENT)
    return about


def read(payload: bytes) -> list[receipt.SpoolReceipt]:
    """Return the content of a receipt, as an agent that checks the proof reads it."""
    return receipt.decode_proven(payload, [SHARED])


def envelopes(count: int, spool_id: bytes = SPOOL) -> list[bytes]:
    """Return *count* envelopes of one spool."""
    sealer = Sealer(
        agent=AGENT, spool_id=spool_id, session_key=b"k" * 32, ingest_key=KEY.public_key()
    )
    return [
        encode_envelope(sealer.seal(Body(HANDLE, 1, [block(70)]), sequence=i + 1))
        for i in range(count)
    ]
