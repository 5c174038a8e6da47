"""An agent without a broker, made by its composition root, with its real spool and leases."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from edge_agent.app import assemble
from edge_agent.config import (
    AgentSettings,
    BatchSettings,
    ClockSettings,
    KeySettings,
    SensorSettings,
)
from edge_agent.lease.keys import Keys
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.metrics import Metrics
from edge_agent.ports import KeptTime, Sensors
from edge_agent.reload import spool_bounds
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SqliteSpool
from runtime.settings import BrokerSettings, TlsSettings
from tests.fakes.edge_agent import HOUR_MS, NoBroker
from wire import lease as wire_lease
from wire.envelope import decode_envelope
from wire.lease import Grant, Lease
from wire.sealing import Opener

AGENT: Final = "0" * 16
_NONE: Final = Path("none")


class Parties:
    """The keys of trust, of ingest and of the agent."""

    def __init__(self) -> None:
        self.trust = Ed25519PrivateKey.generate()
        self.ingest = X25519PrivateKey.generate()
        self.lease = X25519PrivateKey.generate()

    def of_agent(self) -> Keys:
        """Return the keys that are on the gateway."""
        return Keys(self.trust.public_key(), self.ingest.public_key(), self.lease)


class LoneAgent:
    """
    An agent on its gateway; a second one in the same folder is the same agent after a restart.

    Args:
        folder: The folder of the agent's state.

        spool: The spool in this folder.

        clock, sensors: The agent's clock and sensors.

        batch: When an envelope is made.

        undated_s: How long the agent listens while the time of day is unknown.

        parties: The keys of trust, of ingest and of the agent.
    """

    def __init__(
        self,
        folder: Path,
        spool: SqliteSpool,
        *,
        clock: KeptTime,
        sensors: Sensors,
        batch: BatchSettings,
        undated_s: float = 0.0,
        parties: Parties | None = None,
    ) -> None:
        self.spool, self.registry = spool, CollectorRegistry()
        self._folder, self._parties = folder, parties or Parties()
        self.agent, _ = assemble(
            _settings(folder, batch, undated_s),
            self._parties.of_agent(),
            clock=clock,
            sensors=sensors,
            spool=spool,
            broker=NoBroker(),
            metrics=Metrics(self.registry),
        )

    def lease(
        self, version: int, *grants: Grant, issued_at_ms: int, for_ms: int = HOUR_MS
    ) -> bytes:
        """Return a lease, sealed as trust publishes it."""
        given = Lease(AGENT, version, issued_at_ms, issued_at_ms + for_ms, list(grants))
        return wire_lease.encode(
            given, trust_key=self._parties.trust, agent_key=self._parties.lease.public_key()
        )

    def shelve(self, sealed: bytes) -> None:
        """Write the lease *sealed* to the disk, where the agent finds it at its start."""
        held = self._parties.of_agent()
        leases = Leases(
            agent=AGENT,
            trust_key=held.trust,
            agent_key=held.lease,
            lease_store=FileLeaseStore(self._folder),
        )
        leases.offer(sealed)
        leases.save()

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.registry.get_sample_value(f"vitalveil_agent_{name}", labels) or 0.0

    async def kept(self) -> list[int]:
        """Return the time of each observation in the spool, ms since 1970."""
        opener = Opener([self._parties.ingest])
        bodies = [
            opener.open(AGENT, decode_envelope(spooled.payload))
            for spooled in await self.spool.peek(after=0, limit=1000)
        ]
        return [at_ms for body in bodies for block in body.blocks for at_ms in block.times_ms()]


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteSpool]:
    """Return a new spool in *folder*."""
    settings = _settings(folder, BatchSettings(), 0.0)
    spool = await SqliteSpool.open(
        folder,
        Tags(X25519PrivateKey.generate()),
        new_spool_id=bytes(16),
        bounds=spool_bounds(settings),
    )
    try:
        yield spool
    finally:
        await spool.close()


def _settings(folder: Path, batch: BatchSettings, undated_s: float) -> AgentSettings:
    return AgentSettings(
        agent=AGENT,
        state_dir=folder,
        broker=BrokerSettings(tls=TlsSettings(_NONE, _NONE, _NONE)),
        keys=KeySettings(_NONE, _NONE, _NONE),
        sensors=SensorSettings(source="bluetooth"),
        batch=batch,
        clock=ClockSettings(undated_s=undated_s),
    )
