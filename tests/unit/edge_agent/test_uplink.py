"""The uplink's own work, which does not end with a connection."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from prometheus_client import CollectorRegistry

from edge_agent import spool_file
from edge_agent.backoff import Backoff
from edge_agent.errors import BrokerError
from edge_agent.metrics import Metrics
from edge_agent.outbox import Limits, Outbox
from edge_agent.ports import Connection, Downlink, Sealed
from edge_agent.spool import Bounds, SqliteSpool
from edge_agent.tags import Tags
from edge_agent.uplink import Uplink
from tests.fakes_edge_agent import HANDLE, ManualClock
from tests.spool_writer import KEY, SPOOL_ID
from wire import receipt
from wire.receipt import SpoolReceipt
from wire.state import SpoolState, State


class Home:
    """An agent that says that it is there."""

    def state(self, online: bool) -> State:
        return State(
            online=online,
            software="test",
            lease=0,
            measuring=False,
            spools=[SpoolState(SPOOL_ID.hex(), 1, 0)],
        )

    async def take_lease(self, sealed: bytes) -> None:
        """Take none over."""


class BriefBroker:
    """A broker that tells of one receipt, and whose connection ends when it is cut."""

    def __init__(self, told: bytes) -> None:
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
        """Have it."""

    async def publish_state(self, payload: bytes) -> None:
        """Have it."""

    async def downlinks(self) -> AsyncIterator[Downlink]:
        yield Downlink(receipt=self._told)
        await self.cut.wait()
        raise BrokerError("the connection ended")


async def test_what_is_forgotten_while_a_connection_ends_is_counted(tmp_path: Path) -> None:
    """What leaves the spool on a receipt is counted as settled, whenever the link breaks."""
    spool = await SqliteSpool.open(
        tmp_path, Tags(KEY), new_spool_id=SPOOL_ID, bounds=Bounds(1 << 20)
    )
    envelopes = [Sealed(spool.take_sequence(), HANDLE, 2, b"x" * 100) for _ in range(3)]
    await spool.append(envelopes, {}, now_ms=1)
    registry = CollectorRegistry()
    broker = BriefBroker(receipt.encode([SpoolReceipt(SPOOL_ID, 3)]))
    uplink = Uplink(
        broker=broker,
        spool=spool,
        outbox=Outbox(Limits()),
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
        with contextlib.closing(sqlite3.connect(tmp_path / spool_file.NAME)) as other:
            # As a slow disk would, it keeps the spool busy: what is forgotten is under way.
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
