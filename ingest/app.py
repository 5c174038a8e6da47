"""The composition root: the one module that constructs every concrete part of ingest."""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

import uvloop

from ingest.admission.opening import Opening
from ingest.admission.permissions import Changes, Permissions
from ingest.committer import Clocks
from ingest.config import Settings, read_keys
from ingest.errors import StoreError
from ingest.metrics import Metrics
from ingest.mqtt.receiver import MqttReceiver
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.receipts import Proofs, Receipts
from ingest.receipts.settle import Settlements
from ingest.service import Service
from ingest.storage.database import connection_string
from ingest.storage.monitor import DatabaseMonitor
from ingest.storage.quarantine import sealer_to
from ingest.storage.reader import PermissionReader
from ingest.storage.store import PostgresStore
from runtime import http, logs
from runtime.backoff import Backoff
from runtime.certificates import Certificates
from runtime.errors import ConfigError
from runtime.process import give_back_memory, stop_requested
from runtime.pulse import Pulse
from runtime.tls_identity import TlsIdentity
from wire.sealing import Opener

_DRAIN_TIMEOUT_S: Final = 5.0
_COLLECT_EVERY: Final = 100_000
"""
Threshold of the garbage collector: a flush holds thousands of objects for a moment, and no
reference cycle.
"""
CERTIFICATE_END: Final = "vitalveil_ingest_certificate_end_timestamp_seconds"
_log = logs.Log("ingest.app")


_PARTS: Final = ("broker", "database", "permissions")
"""The parts that are connected or not; without any of them ingest is not ready."""


def now_ms() -> int:
    """Return the time of the system clock, ms since 1970."""
    return time.time_ns() // 1_000_000


class App:
    """
    All parts of ingest, constructed and not yet running.

    Raises:
        ConfigError: A file that the settings name is missing or wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.permissions = Permissions()
        self._is_live = dict.fromkeys(_PARTS, False)
        chance = random.Random()  # noqa: S311 - jitter, not a secret
        keys = read_keys(settings.keys)
        conninfo = connection_string(settings.database, application="vitalveil-ingest")
        self.metrics.registry.register(DatabaseMonitor(conninfo, settings.watch))
        tls_files = {
            "client": settings.broker.tls.certificate_file,
            "ca": settings.broker.tls.ca_file,
        }
        self.metrics.registry.register(Certificates(CERTIFICATE_END, tls_files))
        self.receiver = MqttReceiver(
            broker=settings.broker,
            identity=TlsIdentity(settings.broker.tls),
            session=settings.session,
            backoff=Backoff(chance.random, first_s=0.1, longest_s=10.0),
            now_ms=now_ms,
            on_change=self._liveness_of("broker"),
            on_refused=self.metrics.refused_receipts.inc,
        )
        settlements = Settlements(interval_s=settings.receipts.interval_s)
        self.stores = [
            PostgresStore(
                conninfo,
                seal=sealer_to(keys[0].public_key()),
                quarantine=settings.quarantine,
                timeout_s=settings.store.timeout_s,
                now_ms=now_ms,
                are_settled=settlements.covers,
                changed_since=self.permissions.since,
                on_change=self._liveness_of("database"),
            )
            for _ in range(settings.store.connections)
        ]
        self.reader = PermissionReader(
            conninfo,
            apply=self._apply,
            backoff=Backoff(chance.random, first_s=0.1, longest_s=10.0),
            on_change=self._liveness_of("permissions"),
        )
        sender = ReceiptSender(
            self.receiver,
            settlements,
            Receipts(Proofs(keys), self.permissions.peers),
            self.metrics,
            monotonic_s=time.monotonic,
            is_ours=settings.session.has,
        )
        self.service = Service(
            receiver=self.receiver,
            stores=self.stores,
            opening=Opening(Opener(keys)),
            permissions=self.permissions,
            settlements=settlements,
            sender=sender,
            metrics=self.metrics,
            limits=settings.flush,
            clock_rules=settings.clock,
            clocks=Clocks(now_ms, time.monotonic),
            chance=chance,
        )
        self._is_loaded = asyncio.Event()
        self._pulse = Pulse()

    def _liveness_of(self, name: str) -> Callable[[bool], None]:
        # An idle connection to the database does not notice that it is lost: the connection that
        # was used last decides.
        def show(is_live: bool) -> None:
            self._is_live[name] = is_live
            self.metrics.connected.labels(name).set(is_live)

        return show

    def _apply(self, changes: Changes) -> int:
        self.service.apply(changes)
        if changes.is_complete:
            give_back_memory()
        self._is_loaded.set()
        return self.permissions.epoch

    def missing(self) -> Iterable[str]:
        """Return the names of the parts that are not connected, for /readyz."""
        return [name for name, is_live in self._is_live.items() if not is_live]

    async def run(self, stop: asyncio.Event, *, on_port: Callable[[int], None]) -> None:
        """
        Run until *stop* is set, then commit and acknowledge the envelopes that are held.

        Args:
            stop: Ends the run.

            on_port: Called with the port on which /metrics is served.

        Raises:
            Unusable: The schema, a right or a password of the database is wrong.
            ConfigError: The address of /metrics cannot be listened on.
        """
        with http.serve(
            self.settings.http,
            self.metrics.registry,
            missing=self.missing,
            is_alive=self._pulse.is_beating,
        ) as port:
            on_port(port)
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._pulse.run(), name="pulse")
                reading = tasks.create_task(self.reader.run(), name="permissions")
                if await self._is_stopped_before_start(stop):
                    reading.cancel()
                    beating.cancel()
                    return
                # Objects created so far live until the end: the collector need not visit them.
                gc.collect()
                gc.freeze()
                gc.set_threshold(_COLLECT_EVERY)
                receiving = tasks.create_task(self.receiver.run(), name="receiver")
                await self.service.run(stop)
                await self.receiver.drain(timeout_s=_DRAIN_TIMEOUT_S)
                receiving.cancel()
                reading.cancel()
                beating.cancel()
                for store in self.stores:
                    await store.close()

    async def _is_stopped_before_start(self, stop: asyncio.Event) -> bool:
        """Wait for the permissions and the database; return whether *stop* was set first."""
        waiting = asyncio.create_task(self._until_loaded())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                await waiting
            return stop.is_set()
        finally:
            waiting.cancel()
            stopping.cancel()

    async def _until_loaded(self) -> None:
        # Before the first delivery is taken: without permissions it would be refused and lost.
        await self._is_loaded.wait()
        await self.service.open()


def run(settings: Settings) -> int:
    """
    Run ingest until a stop signal; return the exit code.

    Raises:
        ConfigError: A file that the settings name is missing or wrong, or an address is taken.
    """
    logs.configure(settings.log.level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(settings))


async def _main(settings: Settings) -> int:
    app = App(settings)
    async with stop_requested() as stop:
        try:
            await app.run(stop, on_port=lambda port: _log.info("started", http_port=port))
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - the one broad catch: log the type and leave
            for cause in _leaves(error):
                why = cause.cause if isinstance(cause, StoreError) else None
                _log.error("failed", error=logs.describe(cause), why=why)
            return 1
    _log.info("stopped")
    return 0


def _leaves(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
