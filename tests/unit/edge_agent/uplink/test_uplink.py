"""Work of the uplink that continues when a connection ends."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from edge_agent.errors import BrokerError
from edge_agent.metrics import Metrics
from edge_agent.ports import Connection, Downlink, Sealed
from edge_agent.spool import database_file
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.uplink.outbox import Outbox, OutboxLimits
from edge_agent.uplink.uplink import Uplink
from runtime.backoff import Backoff
from tests.fakes.edge_agent import HANDLE, ManualClock
from tests.support.spool_appender import KEY, SPOOL_ID
from wire import agreement, receipt
from wire.agreement import Agreement
from wire.envelope import MAX_SEQUENCE
from wire.receipt import SpoolReceipt
from wire.state import SpoolState, State

INGEST = X25519PrivateKey.from_private_bytes(bytes(range(32)))
OLDER = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LEASE = X25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
AGENT = "0" * 16


def with_ingest(
    key: X25519PrivateKey = INGEST, *, lease: X25519PrivateKey = LEASE, agent: str = AGENT
) -> Agreement:
    """Return the agreement of an agent with ingest."""
    return agreement.of_agent(lease, key.public_key().public_bytes_raw(), agent)


SHARED = with_ingest()


class Home:
    """An agent that publishes its state."""

    def state(self, online: bool) -> State:
        return State(
            online=online,
            software="test",
            lease=0,
            measuring=False,
            spools=[SpoolState(SPOOL_ID.hex(), 1, 0)],
        )

    async def take_lease(self, sealed: bytes) -> None:
        """Ignore the lease."""


class BriefBroker:
    """A broker that delivers some receipts, and whose connection ends when it is cut."""

    def __init__(self, *told: bytes) -> None:
        self._told = told
        self.cut = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connect(self, *, will: bytes) -> AsyncIterator[Connection]:
        if self.cut.is_set():
            raise BrokerError("the broker is gone")
        yield self

    def is_outdated(self) -> bool:
        return False

    async def publish_envelope(self, payload: bytes) -> None:
        """Accept the envelope."""

    async def publish_state(self, payload: bytes) -> None:
        """Accept the state."""

    async def downlinks(self) -> AsyncIterator[Downlink]:
        for payload in self._told:
            yield Downlink(receipt=payload)
        await self.cut.wait()
        raise BrokerError("the connection ended")


async def test_what_is_forgotten_while_a_connection_ends_is_counted(tmp_path: Path) -> None:
    """
    Envelopes that are removed on a receipt count as settled, even if the connection ends
    meanwhile.
    """
    spool = await SqliteSpool.open(
        tmp_path, Tags(KEY), new_spool_id=SPOOL_ID, bounds=SpoolLimits(1 << 20, min_free_bytes=0)
    )
    envelopes = [Sealed(spool.take_sequence(), HANDLE, 2, b"x" * 100) for _ in range(3)]
    await spool.append(envelopes, {}, now_ms=1)
    registry = CollectorRegistry()
    broker = BriefBroker(receipt.encode_proven([SpoolReceipt(SPOOL_ID, 3)], [SHARED]))
    uplink = Uplink(
        broker=broker,
        spool=spool,
        outbox=Outbox(OutboxLimits()),
        agreements=[SHARED],
        clock=ManualClock(),
        backoff=Backoff(lambda: 1.0),
        metrics=Metrics(registry),
        forget_within_s=0.2,
    )

    def settled() -> float | None:
        return registry.get_sample_value("vitalveil_agent_settled_observations_total")

    running = asyncio.create_task(uplink.run(Home()))
    async with asyncio.timeout(60):
        while spool._settled is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as other:
            # Keeps the spool busy, as a slow disk would, so that the removal is under way.
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(0.5)
            broker.cut.set()
            while uplink.is_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            other.execute("ROLLBACK")
        while settled() != 6:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert spool.stats().depth == 0
    uplink.finish()
    await running
    await spool.close()


ALL = [SpoolReceipt(SPOOL_ID, MAX_SEQUENCE - 1)]
FORGERIES = [
    pytest.param(receipt.encode(ALL), "old_form", id="first form"),
    pytest.param(receipt.encode_proven(ALL, []), "bad_proof", id="no proof"),
    pytest.param(receipt.encode_proven(ALL, [with_ingest(OLDER)]), "bad_proof", id="wrong key"),
    pytest.param(
        receipt.encode_proven(
            ALL, [msgspec.structs.replace(with_ingest(OLDER), key_id=SHARED.key_id)]
        ),
        "bad_proof",
        id="wrong proof",
    ),
    pytest.param(
        receipt.encode_proven(ALL, [with_ingest(agent="f" * 16)]),
        "bad_proof",
        id="another agent's",
    ),
    pytest.param(
        receipt.encode_proven(
            ALL, [msgspec.structs.replace(SHARED, receipt_key=SHARED.floor_key)]
        ),
        "bad_proof",
        id="a floor's key",
    ),
    pytest.param(
        receipt.encode_proven([SpoolReceipt(SPOOL_ID, 1, [(2, MAX_SEQUENCE)])], [SHARED]),
        "malformed",
        id="huge range",
    ),
    pytest.param(receipt.encode_proven(ALL, [SHARED])[:-1], "malformed", id="truncated"),
    pytest.param(b"", "malformed", id="emptied"),
    pytest.param(b"\x93\x03\xc4\x00\x90", "unsupported_version", id="later version"),
    pytest.param(bytes(100_000), "malformed", id="noise"),
]


@pytest.mark.parametrize(("forged", "reason"), FORGERIES)
async def test_a_forged_receipt_makes_it_forget_nothing(
    tmp_path: Path, forged: bytes, reason: str
) -> None:
    """
    A forged receipt removes nothing and is counted by its reason, and the genuine one is
    accepted.
    """
    spool = await SqliteSpool.open(
        tmp_path, Tags(KEY), new_spool_id=SPOOL_ID, bounds=SpoolLimits(1 << 20, min_free_bytes=0)
    )
    envelopes = [Sealed(spool.take_sequence(), HANDLE, 2, b"x" * 100) for _ in range(3)]
    await spool.append(envelopes, {}, now_ms=1)
    registry = CollectorRegistry()
    genuine = receipt.encode_proven([SpoolReceipt(SPOOL_ID, 1)], [SHARED])
    elsewhere = receipt.encode_proven([SpoolReceipt(b"x" * 16, 99)], [SHARED])
    uplink = Uplink(
        broker=BriefBroker(forged, elsewhere, genuine, forged),
        spool=spool,
        outbox=Outbox(OutboxLimits()),
        agreements=[SHARED],
        clock=ManualClock(),
        backoff=Backoff(lambda: 1.0),
        metrics=Metrics(registry),
        forget_within_s=0.01,
    )

    def refused() -> float | None:
        return registry.get_sample_value(
            "vitalveil_agent_refused_receipts_total", {"reason": reason}
        )

    running = asyncio.create_task(uplink.run(Home()))
    async with asyncio.timeout(60):
        while refused() != 2 or spool.stats().depth == 3:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert [one.sequence for one in await spool.peek(after=0, limit=9)] == [2, 3]
    assert spool.take_sequence() == 4
    uplink.finish()
    await running
    await spool.close()
