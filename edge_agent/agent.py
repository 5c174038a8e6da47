"""
The main loop over the ports: take measurements, process them, append them; and obey the lease.

One task measures, one runs the uplink. Code that touches the pipeline holds the lock `_turn`, so
that the lease never changes between the making of an envelope and its append.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from msgspec import UNSET

from edge_agent.errors import LeaseRefused
from edge_agent.intake import Intake
from edge_agent.lease.leases import Leases
from edge_agent.metrics import Metrics
from edge_agent.pipeline.pipeline import Pipeline, marks_of
from edge_agent.pipeline.pseudonymise import handles_by_sensor
from edge_agent.ports import KeptTime, Sensors, Spool
from edge_agent.service import Service
from edge_agent.spool_writer import SpoolWriter
from edge_agent.uplink.uplink import Uplink
from edge_agent.values.checkpoint import cursor_of
from edge_agent.values.measurement import Measurement
from edge_agent.values.timekeeping import may_measure
from runtime.logs import Log, describe
from wire import state as wire_state
from wire.agreement import Agreement
from wire.lease import Lease
from wire.refusals import Refusal
from wire.state import SpoolState, State

_LOOK_EVERY_S: Final = 0.25
"""How long the end of a lease may go unnoticed, in seconds."""
_RETRY_S: Final = 1.0
_LEAVE_S: Final = 3.0

_log = Log("agent")


class Agent:
    """
    The agent, over its ports.

    Args:
        software: The version of this software, for the state message.

        agreement: The keys shared with ingest: they prove what the state says about the spool.

        clock, sensors, spool: The ports.

        pipeline, leases, spool_writer, uplink: The parts that the loop drives.

        service: The service manager, which restarts an agent that hangs.

        metrics: The counters of this agent.

        undated_s: How long after the start, in seconds, to listen while the time is unknown.
    """

    def __init__(  # noqa: PLR0913 - everything that it stands on, once
        self,
        *,
        software: str,
        agreement: Agreement,
        clock: KeptTime,
        sensors: Sensors,
        spool: Spool,
        pipeline: Pipeline,
        leases: Leases,
        spool_writer: SpoolWriter,
        uplink: Uplink,
        service: Service,
        metrics: Metrics,
        undated_s: float = 0.0,
    ) -> None:
        self._software = software
        self._agreement = agreement
        self._clock = clock
        self._sensors = sensors
        self._spool = spool
        self._pipeline = pipeline
        self._leases = leases
        self._spool_writer = spool_writer
        self._uplink = uplink
        self._service = service
        self._metrics = metrics
        self._intake = Intake(clock, sensors, pipeline, metrics)
        self._undated_until = clock.now() + undated_s
        self._turn = asyncio.Lock()
        self._group = asyncio.TaskGroup()
        self._listening: dict[str, int] = {}
        self._is_leaving = False
        self.may_measure = False
        """Whether a lease is in force."""

    def state(self, online: bool) -> State:
        """Return the state message of this agent."""
        stats = self._spool.stats()
        spool_id = self._spool.spool_id
        proof = wire_state.prove_floor(spool_id, stats.floor, self._agreement)
        spool = SpoolState(spool_id.hex(), stats.floor, stats.depth, proof)
        totals, levels = self._metrics.told() if online else (UNSET, UNSET)
        return State(
            online=online,
            software=self._software,
            lease=self._leases.version,
            measuring=bool(self._listening) and online,
            spools=[spool],
            totals=totals,
            levels=levels,
            reads=[wire_state.RECEIPT_2, wire_state.LEASE_2],
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until *stop*; then make memory durable, and publish for a moment."""
        await self._start()
        async with self._group as group:
            talking = group.create_task(self._uplink.run(self), name="uplink")
            self._service.ready()
            while not stop.is_set():
                await self._round()
            self._service.stopping()
            await self._leave()
            await _end(talking)

    async def _start(self) -> None:
        """Adopt the lease that was in force before the start, if there is one."""
        try:
            self._leases.recall()
        except LeaseRefused as exc:
            self._metrics.leases_refused.inc()
            _log.error("lease_refused", error=describe(exc))
        if self._leases.held is not None:
            await self._adopt(self._leases.held)
        if not self._listening:
            # Even so: a sensor that was connected before a crash must be disconnected.
            await self._sensors.listen({})

    async def _round(self) -> None:
        """Take the measurements that have come, and process them."""
        if self._spool_writer.is_stuck:
            # The disk fails. Measurements that are not taken wait with the sensors.
            measurements: Sequence[Measurement] = []
            await asyncio.sleep(_RETRY_S)
        else:
            due_in_s = self._due_in_s()
            within_s = _LOOK_EVERY_S if due_in_s is None else min(_LOOK_EVERY_S, due_in_s)
            measurements = await self._sensors.take(within_s=within_s)
        async with self._turn:
            if not self._clock.is_dated():
                await self._intake.hold(measurements)
                measurements = []
            await self._ask_again(self._intake.follow_clock())
            await self._look_at_the_time()
            self._intake.offer(measurements)
            await self._flush()
        self._metrics.show(
            self._spool.stats(), pending=self._pipeline.pending, now_ms=self._clock.now_ms()
        )
        self._service.progressed(now=self._clock.now())

    async def _look_at_the_time(self) -> None:
        """Stop listening when the lease has ended; start when the clock reaches its beginning."""
        if self.may_measure != self._is_allowed():
            await self._listen()
            if not self.may_measure:
                self._intake.drop_undated()

    def _is_allowed(self) -> bool:
        is_dated, latest_ms = self._clock.is_dated(), self._clock.latest_ms()
        knows = is_dated or self._clock.now() < self._undated_until
        now_ms = self._clock.now_ms() if is_dated else latest_ms
        is_in_force = may_measure(self._leases.held, now_ms=now_ms, latest_ms=latest_ms)
        return not self._is_leaving and knows and is_in_force

    def _bound(self) -> list[str]:
        """Return the sensors that may be listened to now."""
        held = self._leases.held
        return list(handles_by_sensor(held)) if held is not None and self._is_allowed() else []

    async def _listen(self) -> None:
        """Listen to exactly the sensors that the lease allows now."""
        bound = self._bound()
        self.may_measure = self._is_allowed()
        if set(bound) != set(self._listening):
            known = self._spool.marks([cursor_of(sensor) for sensor in bound])
            self._listening = {sensor: known.get(cursor_of(sensor), 0) for sensor in bound}
            await self._sensors.listen(self._listening)
            _log.info("listening", sensors=len(bound), lease=self._leases.version)
        self._metrics.measuring.set(self.may_measure)
        self._uplink.announce()

    async def _ask_again(self, sensors: Collection[str]) -> None:
        """Have *sensors* begin once more after what is durable."""
        if sensors:
            _log.warning("records_asked_again", sensors=len(sensors))
            self._listening = {s: n for s, n in self._listening.items() if s not in sensors}
            await self._sensors.listen(self._listening)
            await self._keep()
            await self._listen()

    async def take_lease(self, sealed: bytes) -> None:
        """Open and verify the lease *sealed*, and adopt it if it is newer."""
        try:
            lease = self._leases.offer(sealed)
        except LeaseRefused as exc:
            self._metrics.leases_refused.inc()
            _log.warning("lease_refused", error=describe(exc))
            return
        if lease is not None:
            # A separate task: the caller is cancelled when the connection ends, and a lease that
            # is accepted and only half obeyed would not be delivered again.
            await asyncio.shield(self._group.create_task(self._adopt(lease), name="adopt"))

    async def _adopt(self, lease: Lease) -> None:
        """Obey *lease*: stop sensors, drop measurements, save the lease, purge the spool."""
        self._clock.adopt(lease)
        bound = set(self._bound())
        if not bound.issuperset(self._listening):
            # First, because the steps below wait for the disk.
            self._listening = {s: n for s, n in self._listening.items() if s in bound}
            await self._sensors.listen(self._listening)
        async with self._turn:
            if lease is not self._leases.held:
                return  # A newer lease came while this one waited for the lock.
            self._drop(lease)
            self._metrics.took_lease(lease.version, lease.issued_at_ms, self._clock.now_ms())
            _log.info("lease_adopted", lease=lease.version, handles=len(lease.grants))
            await self._keep()
            await self._spool_writer.tidy()
            await self._listen()

    def _drop(self, lease: Lease) -> None:
        """Drop from memory the handles and quantities that *lease* does not name."""
        marks = self._spool.marks(marks_of(lease))
        adopted = self._pipeline.adopt(lease, self._leases.past, marks, now=self._clock.now())
        dropped = self._spool_writer.obey({grant.handle for grant in lease.grants})
        self._spool_writer.take(adopted.flush)
        self._metrics.refused(Refusal.WITHDRAWN, dropped + adopted.dropped)

    async def _flush(self) -> None:
        """Make durable what is due, and from time to time the checkpoints alone."""
        is_due = self._due_in_s() == 0
        if self._spool_writer.is_time:
            await self._spool_writer.tidy()
            await self._spool_writer.evict()
        if not self._spool_writer.is_stuck and (is_due or self._spool_writer.is_time):
            self._spool_writer.take(self._pipeline.take(now=self._clock.now()))
        await self._keep()

    async def _keep(self) -> None:
        """Make durable what the spool writer holds, and advance the cursors of the sensors."""
        cursors = await self._spool_writer.keep()
        for sensor in self._listening.keys() & cursors.keys():
            self._listening[sensor] = cursors[sensor]
        self._sensors.advance(cursors)

    def _due_in_s(self) -> float | None:
        return self._pipeline.due_in_s(now_ms=self._clock.now_ms(), now=self._clock.now())

    async def _leave(self) -> None:
        """Take the measurements that have come, make them durable, publish for a moment."""
        self._is_leaving = True
        await self._sensors.listen({})
        async with self._turn:
            await self._keep()
            while measurements := await self._sensors.take(within_s=0):
                self._intake.offer(measurements)
            if not self._spool_writer.is_stuck:
                self._spool_writer.take(self._pipeline.take_all(now=self._clock.now()))
                await self._keep()
        self._intake.drop_undated()
        self._clock.keep(is_last=True)
        self._listening.clear()
        self._uplink.finish()


async def _end(task: asyncio.Task[None]) -> None:
    """Wait up to `_LEAVE_S` for *task* to end, then cancel it."""
    done, _ = await asyncio.wait([task], timeout=_LEAVE_S)
    if not done:
        task.cancel()
