"""The composition root: the only file that names concrete adapters."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry

from edge_agent.agent import Agent
from edge_agent.bluetooth.clock_memory import ClockMemory, FileClocks, RecentClocks
from edge_agent.config import AgentSettings, BluetoothSettings, SensorSettings
from edge_agent.enrolment.credentials import check_owner
from edge_agent.enrolment.renewal import renewing, settle
from edge_agent.errors import SpoolError, StateInUse
from edge_agent.lease import keys
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.metrics import Metrics
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.ports import Broker, Clock, KeptTime, Sensors
from edge_agent.reload import (
    ReloadTargets,
    batch_limits,
    forget_within_s,
    publish_limits,
    reload,
    spool_bounds,
)
from edge_agent.service import Service
from edge_agent.sources.clock import KeptClock, SystemClock
from edge_agent.sources.recorded import RecordedSensors
from edge_agent.spool import lock
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.seal import Seal
from edge_agent.spool.spool import SqliteSpool
from edge_agent.spool_writer import SpoolWriter
from edge_agent.uplink.outbox import Outbox
from edge_agent.uplink.publisher import AiomqttBroker
from edge_agent.uplink.uplink import Uplink
from runtime import http, logs
from runtime.backoff import Backoff
from runtime.errors import ConfigError
from runtime.logs import Log, describe
from runtime.process import stop_requested
from runtime.tls import client_context
from runtime.tls_identity import TlsIdentity
from runtime.version import VERSION
from wire.envelope import SPOOL_ID_BYTES
from wire.refusals import Refusal

if TYPE_CHECKING:
    from edge_agent.bluetooth.sensors import BluetoothSensors

_log = Log("agent")


def run(settings: AgentSettings, *, read: Callable[[], AgentSettings] | None = None) -> int:
    """
    Run the agent until it is asked to stop; return the exit code.

    Args:
        settings: Of this run.

        read: Reads the settings again, after SIGHUP.

    Raises:
        ConfigError: A setting is wrong.
    """
    logs.configure(settings.log.level)
    try:
        with _locked(settings):
            asyncio.run(_run(settings, read or (lambda: settings)))
    except ConfigError:
        raise
    except Exception as exc:  # noqa: BLE001 - the one place; a traceback could name a sensor
        _log.error("died", error=describe(_innermost(exc)))
        return 1
    _log.info("stopped")
    return 0


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.contextmanager
def _locked(settings: AgentSettings) -> Iterator[None]:
    try:
        with lock.hold(settings.state_dir):
            yield
    except StateInUse as exc:
        raise ConfigError(
            key="state_dir",
            source=str(settings.state_dir),
            problem=str(exc),
            remedy="Stop the other agent first, or give each agent a folder of its own.",
        ) from None


async def _run(settings: AgentSettings, read: Callable[[], AgentSettings]) -> None:
    held_keys = keys.read(settings.keys)
    settle(settings.broker.tls)
    check_owner(settings.broker.tls.certificate_file, agent=settings.agent)
    identity = TlsIdentity(settings.broker.tls)
    clock = KeptClock(
        settings.state_dir, belief=settings.clock.belief, marker=settings.clock.marker
    )
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    clocks = FileClocks(settings.state_dir, tag=Tags(held_keys.lease).of_mark)
    sensors, serving = _sensors(settings.sensors, clock, metrics, registry, clocks)
    spool = await _open_spool(settings, held_keys, metrics)
    broker = AiomqttBroker(settings.broker, identity, agent=settings.agent)
    daemon, live = assemble(
        settings,
        held_keys,
        clock=clock,
        sensors=sensors,
        spool=spool,
        broker=broker,
        metrics=metrics,
    )
    held = settings

    def reread() -> None:
        nonlocal held
        held = reload(live, held, read, now=time.monotonic())

    def missing() -> Iterator[str]:
        if not live.uplink.is_connected:
            yield "broker"
        if not daemon.may_measure:
            yield "lease"

    try:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, reread)
        async with serving, renewing(settings), stop_requested() as stop:
            with http.serve(settings.http, registry, missing=missing) as port:
                _log.info("started", http_port=port, software=VERSION)
                await daemon.run(stop)
    finally:
        await spool.close()


def assemble(  # noqa: PLR0913 - everything that it stands on, once
    settings: AgentSettings,
    held: keys.Keys,
    *,
    clock: KeptTime,
    sensors: Sensors,
    spool: SqliteSpool,
    broker: Broker,
    metrics: Metrics,
) -> tuple[Agent, ReloadTargets]:
    """Return an agent over its ports, and what of it may change while it runs."""
    outbox = Outbox(publish_limits(settings))
    agreement = keys.agree(held, agent=settings.agent, source=settings.keys)
    backoff = Backoff(random.random, longest_s=settings.publish.longest_wait_s)
    uplink = Uplink(
        broker=broker,
        spool=spool,
        outbox=outbox,
        agreements=[agreement],
        clock=clock,
        backoff=backoff,
        metrics=metrics,
        start_delay_s=random.random() * settings.publish.start_within_s,  # noqa: S311 - no secret
        forget_within_s=forget_within_s(settings),
    )
    leases = Leases(
        agent=settings.agent,
        trust_key=held.trust,
        agent_key=held.lease,
        lease_store=FileLeaseStore(settings.state_dir),
    )
    seal = Seal(
        agent=settings.agent,
        spool_id=spool.spool_id,
        ingest_key=held.ingest,
        random_bytes=os.urandom,
    )
    pipeline = Pipeline(batch_limits(settings))
    spool_writer = SpoolWriter(
        clock=clock,
        spool=spool,
        seal=seal,
        leases=leases,
        uplink=uplink,
        metrics=metrics,
        max_age_s=settings.spool.max_age_s,
    )
    service = Service(os.environ, now=clock.now())
    agent = Agent(
        software=VERSION,
        agreement=agreement,
        clock=clock,
        sensors=sensors,
        spool=spool,
        pipeline=pipeline,
        leases=leases,
        spool_writer=spool_writer,
        uplink=uplink,
        service=service,
        metrics=metrics,
        # A recording has dates of its own, and waits.
        undated_s=settings.clock.undated_s if settings.sensors.source == "bluetooth" else 0.0,
    )
    return agent, ReloadTargets(pipeline, outbox, spool, spool_writer, uplink, backoff, service)


def _sensors(
    settings: SensorSettings,
    clock: Clock,
    metrics: Metrics,
    registry: CollectorRegistry,
    clocks: ClockMemory,
) -> tuple[Sensors, AbstractAsyncContextManager[None]]:
    """Return the sensors, and the context in which they are."""
    if settings.source == "bluetooth":
        radio = _radio(settings.bluetooth, clock, metrics, registry, clocks)
        return radio, radio.serve()
    recorded = RecordedSensors(malformed=lambda: metrics.refused(Refusal.MALFORMED))
    return recorded, recorded.serve(settings.recorded_socket)


def _radio(
    settings: BluetoothSettings,
    clock: Clock,
    metrics: Metrics,
    registry: CollectorRegistry,
    clocks: ClockMemory,
) -> "BluetoothSensors":
    # Only now: an agent without a radio needs neither bleak nor its memory.
    from edge_agent.bluetooth import models
    from edge_agent.bluetooth.radio.bluez import BluezHost
    from edge_agent.bluetooth.radio.client import Radio
    from edge_agent.bluetooth.radio.escalation import EscalationDelays
    from edge_agent.bluetooth.radio.metrics import RadioMetrics
    from edge_agent.bluetooth.sensors import BluetoothSensors, RadioTimeouts
    from edge_agent.bluetooth.session import ClockPolicy, SessionTiming

    return BluetoothSensors(
        radio=Radio(adapter=settings.adapter),
        host=BluezHost(settings.adapter),
        clock=clock,
        metrics=RadioMetrics(registry),
        refused=metrics.refused,
        random=random.random,
        patience=RadioTimeouts(
            timing=SessionTiming(
                silence_s=settings.silence_s,
                session_silence_s=settings.cgm_silence_s,
                rest_s=settings.meter_every_s,
            ),
            steps=EscalationDelays(exit_s=settings.give_up_after_s),
            longest_wait_s=settings.longest_wait_s,
        ),
        models=models.read(settings.quirks_file) if settings.quirks_file else models.NO_MODELS,
        trust=ClockPolicy(
            assume_local=settings.assume_local_clocks, set_clocks=settings.set_clocks
        ),
        clocks=clocks,
    )


async def _open_spool(
    settings: AgentSettings, held_keys: keys.Keys, metrics: Metrics
) -> SqliteSpool:
    try:
        spool = await SqliteSpool.open(
            settings.state_dir,
            Tags(held_keys.lease),
            new_spool_id=os.urandom(SPOOL_ID_BYTES),
            bounds=spool_bounds(settings),
        )
    except SpoolError as exc:
        raise ConfigError(
            key="state_dir",
            source=str(settings.state_dir),
            problem=str(exc),
            remedy="Check that this user may write there, and that the disk works and has room.",
        ) from None
    if spool.repair is not None:
        metrics.spool_damaged.inc()
        _log.error("spool_set_aside", recovered=spool.repair.envelopes, lost=spool.repair.lost)
    return spool


class CheckReport(msgspec.Struct, frozen=True):
    """What `check` found sound."""

    agent: str
    state_dir: str
    broker: str


def check(settings: AgentSettings) -> CheckReport:
    """
    Read every file that *settings* name, and return what they come to.

    Raises:
        ConfigError: One of them is missing or wrong.
    """
    keys.agree(keys.read(settings.keys), agent=settings.agent, source=settings.keys)
    client_context(settings.broker.tls, section="broker.tls")
    check_owner(settings.broker.tls.certificate_file, agent=settings.agent)
    if settings.sensors.source == "bluetooth":
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        _radio(settings.sensors.bluetooth, SystemClock(), metrics, registry, RecentClocks())
    return CheckReport(
        settings.agent,
        str(settings.state_dir),
        f"{settings.broker.host}:{settings.broker.port}",
    )
