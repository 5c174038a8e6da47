"""Doubles for the edge agent's ports and for the other ends of its wires; all of it real code."""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiomqtt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.config import (
    AgentSettings,
    BatchSettings,
    KeySettings,
    PublishSettings,
    SensorSettings,
)
from edge_agent.ports import Connection
from runtime.settings import BrokerSettings
from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fix_broker import broker_settings
from tests.fix_pki import Certificates
from wire import lease as wire_lease
from wire import receipt as wire_receipt
from wire import state as wire_state
from wire import topics
from wire.envelope import decode_envelope
from wire.lease import Grant, Lease
from wire.policy import Rule
from wire.quantities import QUANTITIES
from wire.receipt import SpoolReceipt
from wire.sealing import Opener
from wire.state import State

SENSOR = "C0:FF:EE:00:00:01"
OTHER_SENSOR = "C0:FF:EE:00:00:02"
HANDLE = b"\x01" * 16
OTHER_HANDLE = b"\x02" * 16
HOUR_MS = 3_600_000


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self.time_ms = now_ms
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return self.time_ms

    def is_dated(self) -> bool:
        return True

    def is_behind(self) -> bool:
        return False

    def pass_s(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.seconds += seconds
        self.time_ms += round(seconds * 1000)


def grant(
    handle: bytes = HANDLE, sensors: Sequence[str] = (SENSOR,), rules: Sequence[Rule] = (Rule(1),)
) -> Grant:
    """Return a grant of heart rate as it is measured, unless told otherwise."""
    return Grant(handle, list(sensors), list(rules))


def lease(
    *grants: Grant,
    version: int = 1,
    agent: str = "0" * 16,
    issued_at_ms: int = 1_767_225_600_000,
    for_ms: int = HOUR_MS,
) -> Lease:
    """Return a lease."""
    return Lease(agent, version, issued_at_ms, issued_at_ms + for_ms, list(grants))


class MemoryShelf:
    """A shelf that forgets nothing but the power."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data

    def read(self) -> bytes | None:
        return self.data

    def write(self, data: bytes) -> None:
        self.data = data


class NoBroker:
    """A broker that nobody asks for anything."""

    def connect(self, *, will: bytes) -> contextlib.AbstractAsyncContextManager[Connection]:
        raise AssertionError("nobody was to ask for a connection")

    def is_outdated(self) -> bool:
        return False


def write_keys(folder: Path, trust: Ed25519PrivateKey, ingest: X25519PrivateKey) -> KeySettings:
    """Write what trust puts into a bundle; return where."""
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "trust.pub").write_bytes(trust.public_key().public_bytes(*public))
    (folder / "ingest.pub").write_bytes(ingest.public_key().public_bytes(*public))
    path = folder / "lease.key"
    if not path.exists():
        path.write_bytes(
            X25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        path.chmod(0o600)
    return KeySettings(folder / "trust.pub", folder / "ingest.pub", path)


class Gateway:
    """
    Everything that an agent stands on, and the doubles around it.

    Args:
        folder: Of its own.

        broker: The real one.

        certificates: The CA.
    """

    def __init__(self, folder: Path, broker: Mosquitto, certificates: Certificates) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.agent = secrets.token_hex(8)
        self.broker = broker
        self.trust_key = Ed25519PrivateKey.generate()
        self.ingest_key = X25519PrivateKey.generate()
        keys = write_keys(folder, self.trust_key, self.ingest_key)
        loaded = serialization.load_pem_private_key(keys.lease_file.read_bytes(), None)
        assert isinstance(loaded, X25519PrivateKey)
        self.lease_key = loaded
        self.ingest_settings = broker_settings(broker, certificates, "ingest")
        self.trust_settings = broker_settings(broker, certificates, "trust")
        self.settings = AgentSettings(
            agent=self.agent,
            state_dir=folder / "state",
            broker=broker_settings(broker, certificates, self.agent),
            keys=keys,
            sensors=SensorSettings(folder / "s.sock"),
            batch=BatchSettings(max_age_s=0.1),
            publish=PublishSettings(resend_after_s=2.0, longest_wait_s=0.5),
        )

    def write_config(self) -> Path:
        """Write the settings as a file, and return where."""
        tls = self.settings.broker.tls
        path = self.folder / "agent.toml"
        path.write_text(
            f'agent = "{self.agent}"\nstate_dir = "{self.settings.state_dir}"\n'
            f"[broker]\nport = {self.settings.broker.port}\n"
            f'[broker.tls]\nca_file = "{tls.ca_file}"\n'
            f'certificate_file = "{tls.certificate_file}"\nkey_file = "{tls.key_file}"\n'
            f'[keys]\ntrust_file = "{self.settings.keys.trust_file}"\n'
            f'ingest_file = "{self.settings.keys.ingest_file}"\n'
            f'lease_file = "{self.settings.keys.lease_file}"\n'
            f'[sensors]\nrecorded_socket = "{self.settings.sensors.recorded_socket}"\n'
            f"[batch]\nmax_age_s = {self.settings.batch.max_age_s}\n"
            f"[publish]\nresend_after_s = {self.settings.publish.resend_after_s}\n"
            f"longest_wait_s = {self.settings.publish.longest_wait_s}\n"
        )
        return path

    async def publish_lease(self, lease: Lease, *, key: Ed25519PrivateKey | None = None) -> None:
        """Publish *lease* as trust does, signed by *key* if it is another's."""
        sealed = wire_lease.encode(
            lease, trust_key=key or self.trust_key, agent_key=self.lease_key.public_key()
        )
        async with mqtt(self.trust_settings, "trust") as client:
            await client.publish(topics.lease(self.agent), sealed, qos=1, retain=True)


@contextlib.asynccontextmanager
async def mqtt(settings: BrokerSettings, name: str) -> AsyncIterator[aiomqtt.Client]:
    """A plain connection of *name*."""
    async with aiomqtt.Client(
        settings.host,
        settings.port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        tls_context=client_context(settings.tls, section="broker.tls"),
    ) as client:
        yield client


class _Settled:
    """Which sequences of a spool are settled."""

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
        """Return what is settled, as a receipt tells it."""
        ranges: list[tuple[int, int]] = []
        for sequence in sorted(self._ahead):
            if ranges and ranges[-1][1] + 1 == sequence:
                ranges[-1] = ranges[-1][0], sequence
            else:
                ranges.append((sequence, sequence))
        return SpoolReceipt(spool_id, self._through, ranges)


class IngestDouble:
    """
    Ingest of one agent: opens what comes, remembers it, and settles it when it is told to.

    Its memory outlives its connections, as a database does.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._opener = Opener([gateway.ingest_key])
        self.settles = True
        self.payloads: dict[tuple[bytes, int], bytes] = {}
        self._settled: dict[bytes, _Settled] = {}
        self.deliveries = 0
        self.observations: list[tuple[bytes, int, int, float]] = []
        """Handle, quantity, time and value, of each envelope once."""
        self.leases: set[int] = set()
        self.states: list[State] = []
        self.changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["IngestDouble"]:
        """Be connected, again and again, while the context is open."""
        self._task = task = asyncio.create_task(self._run(), name="ingest")
        try:
            yield self
        finally:
            await _end(task)

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
            async for message in client.messages:
                payload = bytes(message.payload)
                if message.topic.value == topics.state(agent):
                    self.states.append(wire_state.decode(payload))
                else:
                    self._store(payload)
                    if self.settles:
                        receipt = wire_receipt.encode(self.receipt())
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

    def receipt(self) -> list[SpoolReceipt]:
        """Return what is settled."""
        return [settled.receipt(spool_id) for spool_id, settled in self._settled.items()]

    def _raise_what_it_died_of(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def until(self, done: Callable[[], bool], *, within_s: float = 10.0) -> None:
        """Return once *done*; fail when it takes too long."""
        async with asyncio.timeout(within_s):
            while not done():
                self._raise_what_it_died_of()
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self.changed.wait()


class PlayerDouble:
    """
    A player of one recording per sensor: sends the records that it holds, as it is told.

    It reconnects for ever, and goes on after the record that it is told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records: dict[str, list[dict[str, object]]] = {}
        self.listens: list[dict[str, int]] = []
        self._sent: dict[str, int] = {}
        self._wake = asyncio.Event()

    def play(self, sensor: str, at_ms: int, value: float, quantity: str = "heart_rate") -> None:
        """Let *sensor* measure."""
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
        """What it was told last."""
        return self.listens[-1] if self.listens else {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["PlayerDouble"]:
        """Play while the context is open."""
        task = asyncio.create_task(self._run(), name="player")
        try:
            yield self
        finally:
            await _end(task)

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


def agent_environ() -> dict[str, str]:
    """Return the environment of a child process that imports this project."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
