"""A running ingest on a real broker and a real database, and an agent to talk to it."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiomqtt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.app import App
from ingest.config import KeySettings, ReceiptSettings, Settings
from ingest.mqtt.session import SessionSettings
from ingest.storage.database import DatabaseSettings
from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fix_broker import broker_settings
from tests.fix_database import Database
from tests.fix_pki import Certificates
from tests.seed_permissions import LEASE_KEY
from wire import agreement, receipt, state, topics
from wire.envelope import Body, encode_envelope, pack_block
from wire.errors import WireError
from wire.quantities import Code
from wire.sealing import Sealer


class World(msgspec.Struct, frozen=True):
    """A broker, a database and ingest's key; `running` puts ingest between them."""

    broker: Mosquitto
    database: Database
    certificates: Certificates
    key: X25519PrivateKey
    settings: Settings

    @contextlib.asynccontextmanager
    async def running(self, settings: Settings | None = None) -> AsyncIterator[App]:
        """Run ingest in this loop until the context closes; a graceful stop."""
        app = App(settings or self.settings)
        stop = asyncio.Event()
        task = asyncio.create_task(app.run(stop, on_port=lambda port: None))
        try:
            await until(lambda: task.done() or not list(app.missing()))
            if task.done():
                await task
            yield app
        finally:
            stop.set()
            await task

    @contextlib.asynccontextmanager
    async def agent(
        self, name: str, *, reads: Sequence[str] | None = (state.RECEIPT_2,)
    ) -> AsyncIterator["Agent"]:
        """Connect as the agent *name*, which says that it reads *reads*; None to say nothing."""
        context = client_context(self.certificates.client(name), section="broker.tls")
        async with aiomqtt.Client(
            "127.0.0.1",
            self.broker.port,
            identifier=name,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context,
            clean_start=True,
        ) as client:
            await client.subscribe(topics.receipt(name), qos=1)
            agent = Agent(name, client, self.key)
            await agent.tell(reads)
            listening = asyncio.create_task(agent.listen())
            try:
                yield agent
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                    await listening


class Agent:
    """An agent by hand: seals what it is told, publishes, and keeps the last receipt."""

    def __init__(self, name: str, client: aiomqtt.Client, key: X25519PrivateKey) -> None:
        self.name = name
        self.client = client
        self.spool_id = secrets.token_bytes(16)
        self.told: list[receipt.SpoolReceipt] = []
        """What the last receipt says that it believes."""
        self.receipts = 0
        self.reads_proven = False
        self.unbelieved: list[WireError] = []
        self.agreement = agreement.of_agent(LEASE_KEY, key.public_key().public_bytes_raw(), name)
        self.sequence = 0
        self.sealer = self.sealer_to(key)

    def sealer_to(self, key: X25519PrivateKey) -> Sealer:
        """Return a new session of this agent's spool, to *key*."""
        return Sealer(
            agent=self.name,
            spool_id=self.spool_id,
            session_key=secrets.token_bytes(32),
            ingest_key=key.public_key(),
        )

    async def listen(self) -> None:
        """Take every receipt, if it is of the form that it reads."""
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            try:
                if self.reads_proven:
                    self.told = receipt.decode_proven(message.payload, [self.agreement])
                else:
                    self.told = receipt.decode(message.payload).spools
            except WireError as error:
                self.unbelieved.append(error)
                continue
            self.receipts += 1

    async def tell(self, reads: Sequence[str] | None, *spools: state.SpoolState) -> None:
        """Say how it is, and what it reads."""
        if reads is None:
            return
        self.reads_proven = state.RECEIPT_2 in reads
        told = state.State(True, "test", spools=list(spools), reads=list(reads))
        await self.client.publish(topics.state(self.name), state.encode(told), qos=1, retain=True)

    def floor(self, floor: int) -> state.SpoolState:
        """Return what it says of its spool, and proves."""
        proof = state.prove_floor(self.spool_id, floor, self.agreement)
        return state.SpoolState(self.spool_id.hex(), floor, 0, proof)

    def seal(self, body: Body) -> bytes:
        """Return *body* as the next envelope."""
        self.sequence += 1
        return encode_envelope(self.sealer.seal(body, sequence=self.sequence))

    async def publish(self, payload: bytes, *, topic: str | None = None) -> None:
        """Publish *payload*; return when the broker has it."""
        await self.client.publish(
            topic or topics.observations(self.name),
            payload,
            qos=1,
        )

    def settled(self, sequence: int) -> bool:
        """Tell whether the last receipt covers *sequence*."""
        return any(s.spool_id == self.spool_id and s.covers(sequence) for s in self.told)

    def all_settled(self, sequence: int) -> bool:
        """
        Tell whether the last receipt covers everything up to *sequence*.

        Flushes overlap: one may be settled while one before it still waits to be tried again.
        """
        return all(map(self.settled, range(1, sequence + 1)))


def metric(app: App, name: str, **labels: str) -> int:
    """Return a counter or gauge of *app*, `vitalveil_ingest_` left out."""
    value = app.metrics.registry.get_sample_value(f"vitalveil_ingest_{name}", labels)
    assert value is not None
    return int(value)


def settled(app: App) -> int:
    """Return how many envelopes *app* has settled."""
    return sum(
        metric(app, "envelopes_total", outcome=outcome)
        for outcome in ("stored", "duplicate", "refused", "quarantined")
    )


def is_conserved(app: App) -> bool:
    """Tell whether everything received is accounted for, and nothing is in flight."""
    return metric(app, "in_flight_envelopes") == 0 and metric(
        app, "received_envelopes_total"
    ) == settled(app) + metric(app, "abandoned_envelopes_total")


def heart_rate(
    *values: int,
    handle: bytes = bytes(range(16)),
    lease: int = 1,
    start_ms: int | None = None,
    step_ms: int = 1000,
    quantity: int = Code.HEART_RATE,
) -> Body:
    """Return a body with one block, which ends now unless said otherwise."""
    start = now_ms() - step_ms * len(values) if start_ms is None else start_ms
    times = [start + i * step_ms for i in range(len(values))]
    return Body(handle, lease, [pack_block(quantity, times, values)])


def now_ms() -> int:
    """Return the time, ms since 1970."""
    return time.time_ns() // 1_000_000


async def until(condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
    """
    Return once *condition* holds.

    Raises:
        TimeoutError: It did not within *timeout_s*.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)


@pytest.fixture
def world(
    broker: Mosquitto, database: Database, certificates: Certificates, tmp_path: Path
) -> World:
    """Everything but a running ingest."""
    return make_world(broker, database, certificates, tmp_path)


def make_world(
    broker: Mosquitto, database: Database, certificates: Certificates, folder: Path
) -> World:
    """Write the files that ingest needs into *folder*."""
    key = X25519PrivateKey.generate()
    key_file, password_file = folder / "ingest.key", folder / "password"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    password_file.write_text(database.server.password)
    settings = Settings(
        broker=broker_settings(broker, certificates, "ingest"),
        database=DatabaseSettings(
            dsn=f"host=127.0.0.1 port={database.server.port} dbname={database.name}"
            " user=vv_ingest",
            password_file=password_file,
        ),
        keys=KeySettings(key_file),
        session=SessionSettings(receive_max=200),
        receipts=ReceiptSettings(interval_s=0.1),
    )
    return World(broker, database, certificates, key, settings)
