"""
The loop over the ports: take, process, append; and obey the lease.

One task measures, one keeps the uplink. Whatever touches the pipeline holds the turn, so that a
lease never changes between the making of an envelope and its append.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from edge_agent.errors import LeaseRefused, SpoolError
from edge_agent.leases import Leases
from edge_agent.marks import cursor_of
from edge_agent.measurement import Measurement, Reason
from edge_agent.metrics import Metrics
from edge_agent.pipeline import Flush, Pipeline, marks_of
from edge_agent.ports import Amount, Clock, Removed, Sensors, Spool
from edge_agent.pseudonymise import handles_by_sensor
from edge_agent.seal import Seal
from edge_agent.service import Service
from edge_agent.timekeeping import may_measure
from edge_agent.uplink import Uplink
from runtime.logs import Log, describe
from wire.lease import Lease
from wire.sealing import DEFAULT_BUCKET_BYTES
from wire.state import SpoolState, State

_LOOK_EVERY_S: Final = 0.25
"""How long the end of a lease may go unnoticed."""
_KEEP_EVERY_S: Final = 5.0
"""How often marks are saved that no envelope carries, and old envelopes are looked for."""
_RETRY_S: Final = 1.0
_LEAVE_S: Final = 3.0

_log = Log("agent")


class Limits(msgspec.Struct, frozen=True):
    """What the loop itself must know."""

    software: str
    """Our version, for the state."""
    max_spool_age_s: float


class Agent:
    """
    The agent, over its ports.

    Args:
        limits: Of its own.

        clock, sensors, spool: The ports.

        pipeline, seal, leases: What it does.

        service: Who watches over it.

        metrics: Counts.
    """

    def __init__(  # noqa: PLR0913 - everything that it stands on, once
        self,
        *,
        limits: Limits,
        clock: Clock,
        sensors: Sensors,
        spool: Spool,
        pipeline: Pipeline,
        seal: Seal,
        leases: Leases,
        service: Service,
        metrics: Metrics,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._sensors = sensors
        self._spool = spool
        self._pipeline = pipeline
        self._seal = seal
        self._leases = leases
        self._service = service
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._listening: dict[str, int] = {}
        self._unkept: Flush | None = None
        self._kept_at = float("-inf")
        self._must_purge = False
        self.is_measuring = False

    def state(self, online: bool) -> State:
        """Return what is said of this agent."""
        stats = self._spool.stats()
        spool = SpoolState(self._spool.spool_id.hex(), stats.floor, stats.depth)
        return State(
            online=online,
            software=self._limits.software,
            lease=self._leases.version,
            measuring=bool(self._listening) and online,
            spools=[spool],
        )

    async def run(self, stop: asyncio.Event, uplink: Uplink) -> None:
        """Measure until *stop*, then make durable what is in memory and publish what it can."""
        await self._start(uplink)
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(uplink.run(), name="uplink")
            self._service.ready()
            while not stop.is_set():
                await self._round(uplink)
            self._service.stopping()
            await self._leave(uplink)
            await _end(talking)

    async def _start(self, uplink: Uplink) -> None:
        """Take up the lease that was held before, if there is one."""
        try:
            self._leases.recall()
        except LeaseRefused as exc:
            self._metrics.leases_refused.inc()
            _log.error("lease_refused", error=describe(exc))
        if self._leases.held is not None:
            await self._adopt(self._leases.held, uplink)
        else:
            await self._sensors.listen({})

    async def _round(self, uplink: Uplink) -> None:
        """Take what has come, and let it become what it may."""
        if self._unkept is None:
            due_in_s = self._pipeline.due_in_s(now_ms=self._clock.now_ms(), now=self._clock.now())
            within_s = _LOOK_EVERY_S if due_in_s is None else min(_LOOK_EVERY_S, due_in_s)
            measurements = await self._sensors.take(within_s=within_s)
        else:
            # The disk refuses: what is not taken waits with the sensors.
            measurements = []
            await asyncio.sleep(_RETRY_S)
        async with self._turn:
            await self._look_at_the_time(uplink)
            self._offer(measurements)
            await self._flush(uplink)
        self._metrics.show(
            self._spool.stats(), pending=self._pipeline.pending, now_ms=self._clock.now_ms()
        )
        self._service.progressed(now=self._clock.now())

    def _offer(self, measurements: Sequence[Measurement]) -> None:
        now_ms, now = self._clock.now_ms(), self._clock.now()
        for measurement in measurements:
            self._metrics.decided(self._pipeline.offer(measurement, now_ms=now_ms, now=now))
        self._pipeline.tick(now_ms=now_ms, now=now)

    async def _look_at_the_time(self, uplink: Uplink) -> None:
        """Stop to listen when the lease has ended; begin when our clock reaches it."""
        if self.is_measuring != self._may_measure():
            await self._listen(uplink)

    def _may_measure(self) -> bool:
        return may_measure(self._leases.held, now_ms=self._clock.now_ms())

    def _bound(self) -> list[str]:
        """Return the sensors that may be listened to now."""
        held = self._leases.held
        return list(handles_by_sensor(held)) if held is not None and self._may_measure() else []

    async def _listen(self, uplink: Uplink) -> None:
        """Listen to exactly the sensors that may be."""
        bound = self._bound()
        self.is_measuring = self._may_measure()
        if set(bound) != set(self._listening):
            known = self._spool.marks([cursor_of(sensor) for sensor in bound])
            self._listening = {sensor: known.get(cursor_of(sensor), 0) for sensor in bound}
            await self._sensors.listen(self._listening)
            _log.info("listening", sensors=len(bound), lease=self._leases.version)
        self._metrics.measuring.set(self.is_measuring)
        uplink.announce()

    async def take_lease(self, sealed: bytes, uplink: Uplink) -> None:
        """Take over the lease *sealed*, if it is to be."""
        try:
            lease = self._leases.offer(sealed)
        except LeaseRefused as exc:
            self._metrics.leases_refused.inc()
            _log.warning("lease_refused", error=describe(exc))
            return
        if lease is not None:
            await self._adopt(lease, uplink)

    async def _adopt(self, lease: Lease, uplink: Uplink) -> None:
        """Obey *lease*: first stop to listen, then drop, keep it and purge."""
        bound = set(self._bound())
        if not bound.issuperset(self._listening):
            # At once: what follows waits for the disk.
            self._listening = {s: n for s, n in self._listening.items() if s in bound}
            await self._sensors.listen(self._listening)
        async with self._turn:
            if lease is not self._leases.held:
                return  # While we waited for our turn, a newer one came.
            self._drop(lease)
            self._metrics.lease_version.set(lease.version)
            _log.info("lease_adopted", lease=lease.version, handles=len(lease.grants))
            self._must_purge = True
            await self._keep(uplink)
            await self._tidy(uplink)
            await self._listen(uplink)

    def _drop(self, lease: Lease) -> None:
        """Drop what is in memory of handles and quantities that *lease* does not name."""
        marks = self._spool.marks(marks_of(lease))
        adopted = self._pipeline.adopt(lease, self._leases.past, marks, now=self._clock.now())
        dropped = adopted.dropped
        if self._unkept is None:
            self._unkept = adopted.flush
        else:
            before = sum(map(len, self._unkept.bodies))
            kept = self._unkept.of_handles({grant.handle for grant in lease.grants})
            dropped += before - sum(map(len, kept.bodies))
            self._unkept = kept.and_then(adopted.flush)
        self._metrics.refused(Reason.WITHDRAWN, dropped)

    async def _tidy(self, uplink: Uplink) -> None:
        """Keep the lease and purge what it no longer names; what fails, the next round tries."""
        held = self._leases.held
        if held is None:
            return
        if not self._leases.is_saved:
            try:
                await asyncio.to_thread(self._leases.save)
            except OSError as exc:
                _log.error("lease_not_saved", error=describe(exc))
        if self._must_purge:
            try:
                purged = await self._spool.purge_all_but({grant.handle for grant in held.grants})
            except SpoolError as exc:
                self._spool_failed(exc)
                return
            self._must_purge = False
            self._given_up(purged, "withdrawn", uplink)

    async def _flush(self, uplink: Uplink) -> None:
        """Make durable what is due, and now and then the marks alone."""
        now = self._clock.now()
        is_due = self._pipeline.due_in_s(now_ms=self._clock.now_ms(), now=now) == 0
        is_time = now - self._kept_at >= _KEEP_EVERY_S
        if is_time:
            await self._tidy(uplink)
            await self._evict(uplink)
        if self._unkept is None and (is_due or is_time):
            self._unkept = self._pipeline.take(now=now)
        await self._keep(uplink)

    async def _keep(self, uplink: Uplink) -> None:
        """Append what was handed out; it stays in our hands until that is done."""
        flush = self._unkept
        if flush is None:
            return
        try:
            if flush.bodies or flush.marks:
                await self._append(flush, uplink)
        except SpoolError as exc:
            self._spool_failed(exc)
            return
        self._unkept = None
        self._kept_at = self._clock.now()

    async def _append(self, flush: Flush, uplink: Uplink) -> None:
        held = self._leases.held
        bucket_bytes = DEFAULT_BUCKET_BYTES if held is None else held.bucket_bytes
        sealed = [
            # Sealed anew when it is tried again: a sequence that failed is spent.
            self._seal.seal(body, sequence=self._spool.take_sequence(), bucket_bytes=bucket_bytes)
            for body in flush.bodies
        ]
        evicted = await self._spool.append(sealed, flush.marks, now_ms=self._clock.now_ms())
        self._metrics.appended(Amount(len(sealed), sum(map(len, flush.bodies))))
        for sensor in self._listening.keys() & flush.cursors.keys():
            self._listening[sensor] = flush.cursors[sensor]
        self._sensors.advance(flush.cursors)
        if sealed:
            uplink.wake()
        self._given_up(evicted, "evicted_bytes", uplink)

    async def _evict(self, uplink: Uplink) -> None:
        oldest_ms = self._clock.now_ms() - int(self._limits.max_spool_age_s * 1000)
        first_ms = self._spool.stats().oldest_ms
        if first_ms is None or first_ms >= oldest_ms:
            return
        try:
            evicted = await self._spool.evict_older_than(oldest_ms)
        except SpoolError as exc:
            self._spool_failed(exc)
            return
        self._given_up(evicted, "evicted_age", uplink)

    def _given_up(self, removed: Removed, reason: str, uplink: Uplink) -> None:
        if removed.sequences:
            self._metrics.purged(removed.amount, reason=reason)
            _log.warning("given_up", reason=reason, envelopes=removed.amount.envelopes)
            uplink.dropped(removed.sequences)

    def _spool_failed(self, error: SpoolError) -> None:
        self._metrics.spool_errors.inc()
        _log.error("spool_failed", error=describe(error))

    async def _leave(self, uplink: Uplink) -> None:
        """Take what has come already, make it durable, and publish for a moment."""
        await self._sensors.listen({})
        async with self._turn:
            await self._keep(uplink)
            while measurements := await self._sensors.take(within_s=0):
                self._offer(measurements)
            if self._unkept is None:
                self._unkept = self._pipeline.take_all(now=self._clock.now())
                await self._keep(uplink)
        self.is_measuring = False
        uplink.finish()


async def _end(task: asyncio.Task[None]) -> None:
    """Give *task* a moment to end by itself."""
    done, _ = await asyncio.wait([task], timeout=_LEAVE_S)
    if not done:
        task.cancel()
