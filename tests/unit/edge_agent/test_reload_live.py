"""SIGHUP: every setting of a live section takes effect at once."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from edge_agent import reload as reloading
from edge_agent.config import (
    AgentSettings,
    BatchSettings,
    PublishSettings,
    SensorSettings,
    SpoolSettings,
)
from edge_agent.lease.leases import Leases
from edge_agent.metrics import Metrics
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.reload import ReloadTargets
from edge_agent.service import Service
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.seal import Seal
from edge_agent.spool.spool import SqliteSpool
from edge_agent.spool_writer import SpoolWriter
from edge_agent.uplink.outbox import Outbox
from edge_agent.uplink.uplink import Uplink
from runtime.backoff import Backoff
from runtime.errors import ConfigError
from runtime.settings import BrokerSettings, HttpSettings, LogSettings
from tests.fakes.edge_agent import ManualClock, MemoryShelf, NoBroker, write_keys
from tests.fixtures.pki import Certificates


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """The settings in force."""
    keys = write_keys(tmp_path, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
    return AgentSettings(
        agent="0" * 16,
        state_dir=tmp_path / "state",
        broker=BrokerSettings(tls=Certificates(tmp_path / "pki").client("0" * 16)),
        keys=keys,
        sensors=SensorSettings(tmp_path / "s.sock"),
        log=LogSettings("warning"),
    )


@pytest_asyncio.fixture
async def live(settings: AgentSettings) -> AsyncIterator[ReloadTargets]:
    """The parts that a running agent can change, made from *settings*."""
    clock, metrics, key = ManualClock(), Metrics(CollectorRegistry()), X25519PrivateKey.generate()
    bounds = reloading.spool_bounds(settings)
    spool = await SqliteSpool.open(
        settings.state_dir, Tags(key), new_spool_id=bytes(16), bounds=bounds
    )
    outbox = Outbox(reloading.publish_limits(settings))
    backoff = Backoff(lambda: 1.0, longest_s=settings.publish.longest_wait_s)
    uplink = Uplink(
        broker=NoBroker(),
        spool=spool,
        outbox=outbox,
        agreements=[],
        clock=clock,
        backoff=backoff,
        metrics=metrics,
        forget_within_s=reloading.forget_within_s(settings),
    )
    spool_writer = SpoolWriter(
        clock=clock,
        spool=spool,
        seal=Seal(
            agent=settings.agent,
            spool_id=bytes(16),
            ingest_key=key.public_key(),
            random_bytes=os.urandom,
        ),
        leases=Leases(
            agent=settings.agent,
            trust_key=Ed25519PrivateKey.generate().public_key(),
            agent_key=key,
            lease_store=MemoryShelf(),
        ),
        uplink=uplink,
        metrics=metrics,
        max_age_s=settings.spool.max_age_s,
    )
    pipeline = Pipeline(reloading.batch_limits(settings))
    yield ReloadTargets(
        pipeline, outbox, spool, spool_writer, uplink, backoff, Service({}, now=0.0)
    )
    await spool.close()


async def test_all_of_a_live_section_is_taken_over(
    settings: AgentSettings, live: ReloadTargets
) -> None:
    """Every setting of batch, publish and spool that is used while running takes effect."""
    new = msgspec.structs.replace(
        settings,
        batch=BatchSettings(111, 1.25, 13, 14.0),
        publish=PublishSettings(115, 16.5, 1.75, 0.0, 118.5),
        spool=SpoolSettings(1_190_000, 120.5, 121),
        http=HttpSettings(port=1),
    )

    held = reloading.reload(live, settings, lambda: new, now=1.0)

    limits = live.pipeline.limits
    assert (limits.max_observations, limits.max_age_s) == (111, 1.25)
    assert (limits.due_observations, limits.max_ahead_ms) == (13, 14_000)
    assert live.uplink.forget_within_s == 12 * 1.25
    publish = live.outbox.limits
    assert (publish.max_unsettled, publish.resend_after_s) == (115, 16.5)
    assert (publish.backlog_per_s, live.backoff.longest_s) == (118.5, 1.75)
    bounds = live.spool.bounds
    assert (bounds.max_bytes, bounds.min_free_bytes) == (1_190_000, 121)
    assert live.spool_writer.max_age_s == 120.5
    # Settings that need a restart are unchanged.
    assert held == msgspec.structs.replace(new, http=settings.http)


async def test_wrong_settings_change_nothing(settings: AgentSettings, live: ReloadTargets) -> None:
    """Invalid settings change nothing, and do not stop the agent."""

    def read() -> AgentSettings:
        raise ConfigError(key="batch", source="agent.toml", problem="wrong", remedy="Mend it.")

    assert reloading.reload(live, settings, read, now=1.0) is settings
    assert live.pipeline.limits == reloading.batch_limits(settings)
