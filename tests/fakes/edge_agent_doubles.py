"""The peers of an agent: ingest behind the broker, and a player of recordings."""

import abc
import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import aiomqtt

from tests.fakes.edge_agent import Gateway, mqtt
from wire import agreement, topics
from wire import receipt as wire_receipt
from wire import state as wire_state
from wire.envelope import decode_envelope
from wire.quantities import QUANTITIES
from wire.receipt import SpoolReceipt
from wire.sealing import Opener
from wire.state import State


class _Settled:
    """The settled sequences of a spool."""

    def __init__(self) -> None:
        self._through = 0
        self._ahead: set[int] = set()

    def add(self, sequence: int) -> None:
        """Settle *sequence*."""
        self._ahead.add(sequence)
        while self._through + 1 in self._ahead:
            self._through += 1
            self._ahead.remove(self._through)

    def receipt(self, spool_id: bytes) -> SpoolReceipt:
        """Return the settled sequences as the contents of a receipt."""
        ranges: list[tuple[int, int]] = []
        for sequence in sorted(self._ahead):
            if ranges and ranges[-1][1] + 1 == sequence:
                ranges[-1] = ranges[-1][0], sequence
            else:
                ranges.append((sequence, sequence))
        return SpoolReceipt(spool_id, self._through, ranges)


class _Double(abc.ABC):
    """A peer that repeats its work in a task while a context is open."""

    _task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Run the task while the context is open."""
        self._task = task = asyncio.create_task(self._run(), name=type(self).__name__)
        try:
            yield self
        finally:
            await _end(task)

    @abc.abstractmethod
    async def _run(self) -> None:
        """Do the work until the task is cancelled."""


class IngestDouble(_Double):
    """
    The ingest of one agent: opens and keeps envelopes, and settles them when the test asks.

    Its memory outlives its connections, like a database.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._opener = Opener([gateway.ingest_key])
        self.settles = True
        self.client: aiomqtt.Client | None = None
        """The connection to the broker; None if there is none."""
        self.payloads: dict[tuple[bytes, int], bytes] = {}
        self._settled: dict[bytes, _Settled] = {}
        self.deliveries = 0
        self.observations: list[tuple[bytes, int, int, float]] = []
        """Handle, quantity, time and value of each observation, each envelope counted once."""
        self.leases: set[int] = set()
        self.states: list[State] = []
        self.changed = asyncio.Event()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def _serve(self) -> None:
        agent = self._gateway.agent
        async with mqtt(self._gateway.ingest_settings, "ingest") as client:
            await client.subscribe(topics.observations(agent), 1)
            await client.subscribe(topics.state(agent), 1)
            self.client = client
            async for message in client.messages:
                payload = bytes(message.payload)
                if message.topic.value == topics.state(agent):
                    self.states.append(wire_state.decode(payload))
                else:
                    self._store(payload)
                    if self.settles:
                        receipt = self.proven(self.receipt())
                        await client.publish(topics.receipt(agent), receipt, qos=1, retain=True)
                self.changed.set()

    def _store(self, payload: bytes) -> None:
        envelope = decode_envelope(payload)
        self.deliveries += 1
        identity = envelope.spool_id, envelope.sequence
        known = self.payloads.setdefault(identity, payload)
        assert known == payload, "one identity, two contents"
        if known is not payload:
            return
        self._settled.setdefault(envelope.spool_id, _Settled()).add(envelope.sequence)
        body = self._opener.open(self._gateway.agent, envelope)
        self.leases.add(body.lease)
        for block in body.blocks:
            quantity = QUANTITIES[block.quantity]
            self.observations += [
                (body.handle, block.quantity, at_ms, quantity.to_unit(steps))
                for at_ms, steps in zip(block.times_ms(), block.unpacked_values(), strict=True)
            ]

    async def publish(self, *receipts: bytes) -> None:
        """Publish any *receipts* with ingest's certificate; the last is retained."""
        assert self.client is not None
        for payload in receipts:
            topic = topics.receipt(self._gateway.agent)
            await self.client.publish(topic, payload, qos=1, retain=True)

    def proven(self, spools: list[SpoolReceipt]) -> bytes:
        """Return a receipt for *spools* with ingest's proof."""
        gateway = self._gateway
        lease_key = gateway.lease_key.public_key().public_bytes_raw()
        shared = agreement.of_ingest(gateway.ingest_key, lease_key, gateway.agent)
        return wire_receipt.encode_proven(spools, [shared])

    def receipt(self) -> list[SpoolReceipt]:
        """Return the settled sequences of each spool."""
        return [settled.receipt(spool_id) for spool_id, settled in self._settled.items()]

    def _raise_what_it_died_of(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def until(self, done: Callable[[], bool], *, within_s: float = 60.0) -> None:
        """Wait until *done* holds; fail if it takes too long."""
        async with asyncio.timeout(within_s):
            while not done():
                self._raise_what_it_died_of()
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self.changed.wait()


class PlayerDouble(_Double):
    """
    A player of one recording for each sensor, which sends its records as the agent asks.

    The player always reconnects, and continues after the record that the agent names.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records: dict[str, list[dict[str, object]]] = {}
        self.listens: list[dict[str, int]] = []
        self._sent: dict[str, int] = {}
        self._wake = asyncio.Event()

    def play(self, sensor: str, at_ms: int, value: float, quantity: str = "heart_rate") -> None:
        """Add a record to the recording of *sensor*."""
        records = self.records.setdefault(sensor, [])
        records.append(
            {
                "sensor": sensor,
                "record": len(records) + 1,
                "quantity": quantity,
                "value": value,
                "at_ms": at_ms,
            }
        )
        self._wake.set()

    @property
    def listening(self) -> dict[str, int]:
        """The records after which the agent asked to continue last, by sensor."""
        return self.listens[-1] if self.listens else {}

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._path)
                hearing = asyncio.create_task(self._hear(reader))
                try:
                    await self._send(writer, hearing)
                finally:
                    hearing.cancel()
                    writer.close()
            await asyncio.sleep(0.02)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            told: dict[str, int] = json.loads(line)["listen"]
            is_new = not self._sent
            for sensor, record in told.items():
                if sensor not in self.listening or is_new:
                    self._sent[sensor] = record
            for sensor in self._sent.keys() - told.keys():
                del self._sent[sensor]
            self.listens.append(told)
            self._wake.set()

    async def _send(self, writer: asyncio.StreamWriter, hearing: asyncio.Task[None]) -> None:
        self._sent.clear()
        while not hearing.done():
            self._wake.clear()
            for sensor, after in list(self._sent.items()):
                for record in self.records.get(sensor, [])[after:]:
                    writer.write(json.dumps(record).encode() + b"\n")
                    self._sent[sensor] = max(self._sent[sensor], int(str(record["record"])))
                    await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._wake.wait()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel *task* until it ends: before Python 3.12, wait_for may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.2)
