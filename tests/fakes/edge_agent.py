"""The parts around an agent in tests: a clock, a lease, keys, files of a gateway."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Sequence
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
from edge_agent.errors import BrokerError
from edge_agent.ports import Connection
from runtime.settings import BrokerSettings
from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from wire import lease as wire_lease
from wire import topics
from wire.lease import Grant, Lease
from wire.policy import Rule

SENSOR = "C0:FF:EE:00:00:01"
OTHER_SENSOR = "C0:FF:EE:00:00:02"
HANDLE = b"\x01" * 16
OTHER_HANDLE = b"\x02" * 16
HOUR_MS = 3_600_000


class ManualClock:
    """A clock that moves only when the test moves it."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self.time_ms = now_ms
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return self.time_ms

    def is_dated(self) -> bool:
        return True

    def is_wrong(self) -> bool:
        return False

    def look(self) -> int | None:
        return None

    def latest_ms(self) -> int:
        return self.time_ms

    def sure_ms(self) -> int:
        return self.time_ms

    def adopt(self, lease: Lease) -> None: ...

    def keep(self, *, is_last: bool = False) -> None: ...

    def pass_s(self, seconds: float) -> None:
        """Advance the clock by *seconds*."""
        self.seconds += seconds
        self.time_ms += round(seconds * 1000)


def grant(
    handle: bytes = HANDLE, sensors: Sequence[str] = (SENSOR,), rules: Sequence[Rule] = (Rule(1),)
) -> Grant:
    """Return a grant, by default of heart rate at full resolution."""
    return Grant(handle, list(sensors), list(rules))


def lease(
    *grants: Grant,
    version: int = 1,
    agent: str = "0" * 16,
    issued_at_ms: int = 1_767_225_600_000,
    for_ms: int = HOUR_MS,
) -> Lease:
    """Return a lease with the given grants."""
    return Lease(agent, version, issued_at_ms, issued_at_ms + for_ms, list(grants))


class MemoryShelf:
    """Storage of leases in memory, which a power cut would erase."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data

    def read(self) -> bytes | None:
        return self.data

    def write(self, data: bytes) -> None:
        self.data = data


class NoBroker:
    """A broker that cannot be reached."""

    def connect(self, *, will: bytes) -> contextlib.AbstractAsyncContextManager[Connection]:
        raise BrokerError("this test has no broker")

    def is_outdated(self) -> bool:
        return False


def write_keys(folder: Path, trust: Ed25519PrivateKey, ingest: X25519PrivateKey) -> KeySettings:
    """Write the files of a bundle as trust does; return the folder."""
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
    The files of an agent, and the doubles around it.

    Args:
        folder: A folder for this gateway alone.

        broker: A real broker.

        certificates: The CA of the run.
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
        """Write the settings file; return its path."""
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
        """Publish *lease* as trust does, signed with trust's key or with *key*."""
        sealed = wire_lease.encode(
            lease, trust_key=key or self.trust_key, agent_key=self.lease_key.public_key()
        )
        async with mqtt(self.trust_settings, "trust") as client:
            await client.publish(topics.lease(self.agent), sealed, qos=1, retain=True)


@contextlib.asynccontextmanager
async def mqtt(settings: BrokerSettings, name: str) -> AsyncIterator[aiomqtt.Client]:
    """A plain connection to the broker with the certificate of *name*."""
    async with aiomqtt.Client(
        settings.host,
        settings.port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        tls_context=client_context(settings.tls, section="broker.tls"),
    ) as client:
        yield client


def agent_environ() -> dict[str, str]:
    """Return the environment of a child process that imports this project."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
